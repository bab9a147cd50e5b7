// The one thread from which a program hears what became of its leases.
//
// It owns nothing, and nobody who ends a lease waits for it: so a callback may release any lease, drop any
// Exposure, the one it is told of included, and destroy the exposer.
#pragma once

#include "hostnet/exposer.hpp"

#include <memory>
#include <string>
#include <thread>

namespace hostnet::exposer {

/// Thread-safe.
class Notifier {
 public:
  /// `callback` may be empty. @throws Error{failure} when the system gives no thread.
  explicit Notifier(StateCallback callback);
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;
  /// Waits for a call that is running, unless it comes from there. What has not been told by then is not told
  /// any more: nobody is left who holds a lease.
  ~Notifier();

  /// Has the callback called, after all that was told before. Never blocks.
  void tell(std::string lease, ExposureState state, std::string reason);
  /// Lets go of an object in the notifier's thread, where its destructor may wait for the caller's.
  void drop(std::shared_ptr<void> object);

 private:
  struct Queue;

  std::shared_ptr<Queue> queue_;
  std::jthread thread_;
};

}  // namespace hostnet::exposer
