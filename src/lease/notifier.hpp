// The thread that calls a program's state callback.
//
// The thread owns nothing, and no thread that ends a lease waits for it. So a callback may release any lease,
// drop any Exposure (its own included), and destroy the exposer.
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
  /// Waits for a running callback, except when the callback itself destroys the notifier. Drops queued
  /// notices: no lease has a holder any more.
  ~Notifier();

  /// Queues a call of the callback, in order. Never blocks.
  void tell(std::string lease, ExposureState state, std::string reason);
  /// Drops an object in the notifier's thread; its destructor may wait for the caller's thread.
  void drop(std::shared_ptr<void> object);

 private:
  struct Queue;

  std::shared_ptr<Queue> queue_;
  std::jthread thread_;
};

}  // namespace hostnet::exposer
