// The daemon's one loop: the bus, signals, what the holder's thread has to say, and time.
#pragma once

#include "core/fd.hpp"
#include "daemon/config.hpp"
#include "daemon/manager.hpp"
#include "exposer/holder.hpp"

#include <memory>
#include <mutex>
#include <vector>

namespace hostnet::daemon {

/// The holder's news on their way from its thread to the loop. Thread-safe.
class Mailbox {
 public:
  Mailbox();
  void put(const exposer::Ended& ended) noexcept;
  std::vector<exposer::Ended> take();
  [[nodiscard]] int fd() const noexcept { return wake_.get(); }

 private:
  Fd wake_;
  std::mutex mutex_;
  std::vector<exposer::Ended> letters_;
};

/// Serves the bus until SIGTERM, SIGINT, or nothing to do for as long as the configuration says. Where the
/// bus goes away, the leases that do not depend on it stay, and it is waited for until it comes back.
/// @throws Error when the bus cannot be reached or the name is taken.
void serve(const Config& config);

}  // namespace hostnet::daemon
