// The threads, the job queue, and the letters back to the loop.
//
//   event               thread   effect
//   post()              loop     queues a job; starts a thread if all are busy and fewer than most_ exist
//   job is queued       worker   runs it without the lock; logs and drops an exception
//   tell()              any      queues a letter and signals ready_
//   ready_ is readable  loop     run_letters(): runs all letters, in order, without the lock
//   read(deadline)      loop     the same outside EventLoop::run(); waits for a letter until the deadline
//   allow()             loop     raises most_
//   ~Workers()          loop     drops queued jobs and letters, joins the threads
//
// Timeouts: none here. A job bounds its own waits; a worker waits for a job without limit; ~Workers() waits
// for the running jobs. mutex_ is held only for queue operations; threads_ and most_ belong to the loop's
// thread.
#include "watch/workers.hpp"

#include "core/log.hpp"
#include "core/thread.hpp"
#include "hostnet/error.hpp"

#include <poll.h>
#include <sys/epoll.h>

#include <cerrno>
#include <exception>
#include <utility>

namespace hostnet::exposer {

Workers::Workers(EventLoop& loop, std::size_t most_threads) : loop_(loop), most_(most_threads) {
  loop_.add(letters_.fd(), EPOLLIN, [this](std::uint32_t) { run_letters(); });
}

Workers::~Workers() {
  loop_.remove(letters_.fd());
  {
    const std::lock_guard lock(mutex_);
    jobs_.clear();
    ending_ = true;
  }
  wake_.notify_all();
  threads_.clear();  // joins them
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
  try {
    threads_.push_back(hostnet::start_thread("tchn-watch", [this] { work(); }));
  } catch (const Error& error) {
    if (threads_.empty()) throw;
    log::debug("{}; the existing workers run the job later", error.what());
  }
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

void Workers::read(Deadline deadline) {
  pollfd poll{letters_.fd(), POLLIN, 0};
  if (::poll(&poll, 1, deadline.poll_timeout()) < 0 && errno != EINTR) throw Error::from_errno("poll", errno);
  run_letters();
}

void Workers::run_letters() {
  while (const auto letter = letters_.next()) (*letter)();
}

}  // namespace hostnet::exposer
