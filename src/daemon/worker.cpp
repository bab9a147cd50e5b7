// The thread and its queue.
#include "daemon/worker.hpp"

#include "core/thread.hpp"
#include "daemon/guard.hpp"
#include "hostnet/error.hpp"

namespace hostnet::daemon {

Worker::Worker(const char* name, Inbox& inbox, Clock::duration stuck_after)
    : inbox_(inbox), stuck_after_(stuck_after) {
  thread_ = start_thread(name, [this] { work(); });
}

void Worker::post(Job job) {
  const std::scoped_lock lock(mutex_);
  if (ending_) return;
  jobs_.push_back(std::move(job));
  wake_.notify_one();
}

void Worker::finish() {
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

bool Worker::is_idle() const {
  const std::scoped_lock lock(mutex_);
  return !busy_since_ && jobs_.empty();
}

bool Worker::is_stuck(Clock::time_point now) const {
  const std::scoped_lock lock(mutex_);
  return busy_since_ && now - *busy_since_ > stuck_after_;
}

void Worker::work() {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      busy_since_.reset();
      wake_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
      busy_since_ = Clock::now();
    }
    Inbox::Letter letter;
    guarded("a worker", [&] { letter = job(); });
    // Destroy the job before the bus thread can read the letter: the last reference to an object of the bus
    // thread must not end in this thread.
    guarded("a worker", [&] { job = nullptr; });
    if (letter) inbox_.put(std::move(letter));
  }
}

}  // namespace hostnet::daemon
