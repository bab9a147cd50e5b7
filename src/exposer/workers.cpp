// The threads, their queue, and the way back.
#include "exposer/workers.hpp"

#include "core/log.hpp"
#include "hostnet/error.hpp"

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <exception>
#include <system_error>
#include <utility>

namespace hostnet::exposer {

Workers::Workers(EventLoop& loop, std::size_t most_threads)
    : loop_(loop), most_(most_threads), told_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!told_) throw Error::from_errno("eventfd", errno);
  loop_.add(told_.get(), EPOLLIN, [this](std::uint32_t) { run_letters(); });
}

Workers::~Workers() {
  loop_.remove(told_.get());
  {
    const std::lock_guard lock(mutex_);
    jobs_.clear();
    ending_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void Workers::post(Job job) {
  bool all_busy = false;
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
    all_busy = running_ + jobs_.size() > threads_.size();
  }
  wake_.notify_one();
  if (all_busy && threads_.size() < most_) start_thread();
}

void Workers::allow(std::size_t more_threads) { most_ += more_threads; }

void Workers::start_thread() {
  // The program's signals are for the program's own threads.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  int fault = 0;
  try {
    threads_.emplace_back([this] { work(); });
    ::pthread_setname_np(threads_.back().native_handle(), "watch");
  } catch (const std::system_error& error) {
    fault = error.code().value();
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  // Else those that there are do it, later.
  if (fault != 0 && threads_.empty()) throw Error::from_errno("start a thread", fault);
}

void Workers::work() {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
      ++running_;
    }
    try {
      job();
    } catch (const std::exception& error) {
      log::error("a worker: {}", error.what());
    } catch (...) {
      log::error("a worker: an exception of an unknown type");
    }
    job = nullptr;
    const std::lock_guard lock(mutex_);
    --running_;
  }
}

void Workers::tell(Letter letter) {
  const std::lock_guard lock(mutex_);
  letters_.push_back(std::move(letter));
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(told_.get(), &one, sizeof one);
}

void Workers::read(Deadline deadline) {
  pollfd poll{told_.get(), POLLIN, 0};
  if (::poll(&poll, 1, deadline.poll_timeout()) < 0 && errno != EINTR) throw Error::from_errno("poll", errno);
  run_letters();
}

void Workers::run_letters() {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = ::read(told_.get(), &count, sizeof count);
  for (;;) {
    Letter letter;
    {
      const std::lock_guard lock(mutex_);
      if (letters_.empty()) return;
      letter = std::move(letters_.front());
      letters_.pop_front();
    }
    letter();
  }
}

}  // namespace hostnet::exposer
