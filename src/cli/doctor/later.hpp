// Reads a fact in a thread of its own, so that doctor waits once for what takes time, not for each in turn.
#pragma once

#include "core/thread.hpp"

#include <future>
#include <memory>
#include <utility>

namespace hostnet::cli::doctor {

/// A result to come. Its destructor waits for the thread, whose work must have a limit.
template <class Result>
class Later {
 public:
  template <class Look>
  explicit Later(Look look) {
    const auto task = std::make_shared<std::packaged_task<Result()>>(std::move(look));
    result_ = task->get_future();
    thread_ = start_thread("tchn-doctor", [task] { (*task)(); });
  }
  /// Once. @throws What the work threw.
  Result get() { return result_.get(); }

 private:
  std::future<Result> result_;
  std::jthread thread_;
};

template <class Look>
Later(Look) -> Later<decltype(std::declval<Look>()())>;

}  // namespace hostnet::cli::doctor
