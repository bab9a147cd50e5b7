// The queue and its thread.
#include "lease/notifier.hpp"

#include "core/log.hpp"
#include "core/thread.hpp"

#include <cxxabi.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <utility>

namespace hostnet::exposer {

// Shared by the thread and the notifier, because the callback may destroy the notifier.
struct Notifier::Queue {
  StateCallback callback;
  std::mutex mutex;  // guards the members below
  std::condition_variable changed;
  std::deque<std::function<void()>> jobs;
  bool ending = false;

  void post(std::function<void()> job) {
    {
      const std::scoped_lock lock(mutex);
      jobs.push_back(std::move(job));
    }
    changed.notify_one();
  }

  void run() {
    for (;;) {
      std::function<void()> job;
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [this] { return ending || !jobs.empty(); });
        if (ending) return;
        job = std::move(jobs.front());
        jobs.pop_front();
      }
      try {
        job();
      } catch (const std::exception& error) {
        log::error("the state callback threw: {}", error.what());
      } catch (const abi::__forced_unwind&) {
        throw;  // pthread_exit(3)
      } catch (...) {
        log::error("the state callback threw something other than std::exception");
      }
    }
  }
};

Notifier::Notifier(StateCallback callback) : queue_(std::make_shared<Queue>()) {
  queue_->callback = std::move(callback);
  thread_ = start_thread("tchn-notify", [queue = queue_] { queue->run(); });
}

Notifier::~Notifier() {
  {
    const std::scoped_lock lock(queue_->mutex);
    queue_->ending = true;
  }
  queue_->changed.notify_one();
  if (thread_.get_id() == std::this_thread::get_id()) thread_.detach();
}

void Notifier::tell(std::string lease, ExposureState state, std::string reason) {
  if (!queue_->callback) return;
  queue_->post([queue = queue_.get(), lease = std::move(lease), state, reason = std::move(reason)] {
    queue->callback(lease, state, reason);
  });
}

void Notifier::drop(std::shared_ptr<void> object) {
  queue_->post([object = std::move(object)] {});
}

}  // namespace hostnet::exposer
