// The thread and its jobs.
#include "path/relay/relay.hpp"

#include "core/forked.hpp"
#include "core/log.hpp"
#include "core/thread.hpp"

#include <atomic>
#include <chrono>
#include <exception>
#include <future>
#include <mutex>
#include <utility>

namespace hostnet::relay {
namespace {

// Where of_process() finds the relay. A forked child makes another place: its parent may have held the mutex.
struct Place {
  explicit Place(Place* of_parent) : parent(of_parent) {}
  const std::uint64_t generation = fork_generation();
  Place* const parent;  // never freed, and so found by leak checkers
  std::mutex mutex;
  std::weak_ptr<Relay> relay;
};

Place& place() {
  static std::atomic<Place*> current = nullptr;
  auto* found = current.load();
  while (found == nullptr || found->generation != fork_generation()) {
    auto fresh = std::make_unique<Place>(found);
    if (current.compare_exchange_strong(found, fresh.get())) return *fresh.release();
  }
  return *found;
}

}  // namespace

Relay::Relay(Limits limits) : loop_(limits) {
  loop_.watch(post_.jobs.fd(), post_);
  thread_ = start_thread("tchn-relay", [this] { run(); });
}

Relay::~Relay() {
  post_.jobs.put([this] { stopping_ = true; });
}

std::shared_ptr<Relay> Relay::of_process() {
  auto& here = place();
  const std::scoped_lock lock(here.mutex);
  auto relay = here.relay.lock();
  if (!relay) here.relay = relay = std::make_shared<Relay>();
  return relay;
}

template <class Work>
auto Relay::in_thread(Work work) {
  std::packaged_task<decltype(work())()> task(std::move(work));
  auto result = task.get_future();
  post_.jobs.put([&task] { task(); });
  return result.get();
}

Loop::Id Relay::add(Fd socket, Service service, std::shared_ptr<Counters> counters,
                    std::shared_ptr<Peers> peers) {
  return in_thread([&] {
    return loop_.add(std::move(socket), std::move(service), std::move(counters), std::move(peers));
  });
}

void Relay::resume(Loop::Id id) {
  in_thread([&] { loop_.resume(id); });
}

void Relay::remove(Loop::Id id) {
  in_thread([&] { loop_.remove(id); });
}

void Relay::run() noexcept {
  while (!stopping_) {
    try {
      loop_.turn();
      while (const auto job = post_.jobs.next()) (*job)();
    } catch (const std::exception& error) {  // out of memory; the connections stay
      log::error("relay: {}", error.what());
      std::this_thread::sleep_for(std::chrono::milliseconds{100});
    }
  }
}

Forward::Forward(Fd socket, Service service, std::shared_ptr<Counters> counters, std::shared_ptr<Relay> relay,
                 std::shared_ptr<Peers> peers)
    : relay_(std::move(relay)),
      made_in_(fork_generation()),
      id_(relay_->add(std::move(socket), std::move(service), std::move(counters), std::move(peers))) {}

void Forward::resume() {
  if (relay_ && made_in_ == fork_generation()) relay_->resume(id_);
}

Forward::~Forward() {
  if (!relay_) return;
  if (made_in_ == fork_generation())
    relay_->remove(id_);
  else
    leave_to_parent(std::move(relay_));
}

}  // namespace hostnet::relay
