// The epoll loop.
#include "core/event_loop.hpp"

#include "hostnet/error.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <array>
#include <cerrno>

namespace hostnet {

EventLoop::EventLoop()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)), stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!epoll_) throw Error::from_errno("epoll_create1", errno);
  if (!stop_) throw Error::from_errno("eventfd", errno);
  epoll_event event{.events = EPOLLIN, .data = {.fd = stop_.get()}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, stop_.get(), &event) != 0)
    throw Error::from_errno("epoll_ctl", errno);
}

void EventLoop::add(int fd, std::uint32_t events, Callback callback) {
  epoll_event event{.events = events, .data = {.fd = fd}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    throw Error::from_errno("epoll_ctl add", errno);
  sources_[fd] = std::make_shared<Source>(Source{std::move(callback), Fd{}});
}

void EventLoop::modify(int fd, std::uint32_t events) {
  epoll_event event{.events = events, .data = {.fd = fd}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0)
    throw Error::from_errno("epoll_ctl mod", errno);
}

void EventLoop::remove(int fd) {
  if (sources_.erase(fd) > 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

int EventLoop::add_timer(std::chrono::milliseconds delay, std::chrono::milliseconds period,
                         TimerCallback callback) {
  using namespace std::chrono;
  Fd fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!fd) throw Error::from_errno("timerfd_create", errno);
  const auto spec = [](milliseconds span) {
    const auto whole = duration_cast<seconds>(span);
    return timespec{.tv_sec = whole.count(), .tv_nsec = nanoseconds(span - whole).count()};
  };
  itimerspec when{.it_interval = spec(period), .it_value = spec(delay)};
  if (delay <= milliseconds{0}) when.it_value = {.tv_sec = 0, .tv_nsec = 1};  // zero would disarm it
  if (::timerfd_settime(fd.get(), 0, &when, nullptr) != 0) throw Error::from_errno("timerfd_settime", errno);
  const int id = fd.get();
  const bool once = period == milliseconds{0};
  add(id, EPOLLIN, [this, id, once, callback = std::move(callback)](std::uint32_t) {
    std::uint64_t expirations = 0;
    if (::read(id, &expirations, sizeof expirations) < 0) return;
    if (once) cancel(id);
    callback();
  });
  sources_[id]->owned = std::move(fd);
  return id;
}

int EventLoop::every(std::chrono::milliseconds period, TimerCallback callback) {
  return add_timer(period, period, std::move(callback));
}

int EventLoop::after(std::chrono::milliseconds delay, TimerCallback callback) {
  return add_timer(delay, std::chrono::milliseconds{0}, std::move(callback));
}

void EventLoop::cancel(int timer) { remove(timer); }

void EventLoop::run() {
  std::array<epoll_event, 64> events;
  for (;;) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw Error::from_errno("epoll_wait", errno);
    for (int i = 0; i < count; ++i) {
      const auto& event = events[static_cast<std::size_t>(i)];
      if (event.data.fd == stop_.get()) {
        std::uint64_t stops = 0;
        if (::read(stop_.get(), &stops, sizeof stops) > 0) return;
        continue;
      }
      const auto found = sources_.find(event.data.fd);
      if (found == sources_.end()) continue;  // removed by an earlier callback of this round
      const auto source = found->second;      // keeps the callback alive if it removes itself
      source->callback(event.events);
    }
  }
}

void EventLoop::stop() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(stop_.get(), &one, sizeof one);
}

}  // namespace hostnet
