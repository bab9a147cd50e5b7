// A single-threaded epoll loop: descriptors with callbacks, timers, and a stop() that any thread may call.
#pragma once

#include "core/fd.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>

namespace hostnet {

/// Only stop() is thread-safe. Callbacks run in run()'s thread and may add or remove any source, including
/// their own.
class EventLoop {
 public:
  using Callback = std::function<void(std::uint32_t events)>;
  using TimerCallback = std::function<void()>;

  EventLoop();

  /// Watches a descriptor that the caller keeps open until remove(). `events` as in epoll_ctl(2).
  /// @throws Error when the kernel refuses the descriptor or the loop already watches it.
  void add(int fd, std::uint32_t events, Callback callback);
  void modify(int fd, std::uint32_t events);
  /// Ignores unknown descriptors.
  void remove(int fd);

  /// Calls back every `period` (> 0) until cancel(). Returns the timer's id, a descriptor.
  int every(std::chrono::milliseconds period, TimerCallback callback);
  /// Calls back once after `delay`; zero means at once.
  int after(std::chrono::milliseconds delay, TimerCallback callback);
  void cancel(int timer);

  /// Runs until stop(). An exception from a callback leaves run(), which can be called again.
  void run();
  /// Makes run() return after the callback in progress. Thread-safe and async-signal-safe.
  void stop() noexcept;

 private:
  struct Source {
    Callback callback;
    Fd owned;  // a timer's descriptor
  };

  int add_timer(std::chrono::milliseconds delay, std::chrono::milliseconds period, TimerCallback callback);

  Fd epoll_;
  Fd stop_;
  std::map<int, std::shared_ptr<Source>> sources_;
};

}  // namespace hostnet
