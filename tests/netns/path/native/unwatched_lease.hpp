// A lease set up by a store alone, without the monitor thread: for tests that change something by hand and
// check the result, and for tests that count or interrupt the steps.
#pragma once

#include "lease/owner.hpp"
#include "path/native/lease_store.hpp"
#include "path/native/native.hpp"

#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace test {

inline hostnet::Deadline soon() { return hostnet::Deadline::after(std::chrono::seconds{20}); }

/// The leases of these requests, ready for add(), with ids and an owner.
struct Ready {
  hostnet::exposer::Prepared prepared;
  hostnet::state::Owner owner;
};

inline Ready make_ready(const hostnet::exposer::LeaseStore& store,
                        std::span<const hostnet::ExposeRequest> requests) {
  Ready ready{hostnet::exposer::prepare(requests, {}, soon()), hostnet::state::Owner(store.folder())};
  std::size_t number = 0;
  for (auto& lease : ready.prepared.leases) {
    lease.id = ready.owner.id().token.substr(0, 8) + std::to_string(number++);
    lease.owner = ready.owner.id();
  }
  return ready;
}

/// Holds its leases while the object lives; its destructor removes them.
class UnwatchedLeases {
 public:
  UnwatchedLeases(const std::string& runtime_dir, std::span<const hostnet::ExposeRequest> requests,
                  hostnet::exposer::Executor::Hook hook = {})
      : store_(runtime_dir) {
    store_.executor().set_hook(std::move(hook));
    auto transaction = store_.begin(soon());
    transaction.reap();
    ready_ = std::make_unique<Ready>(make_ready(store_, requests));
    transaction.add(ready_->prepared.leases, ready_->prepared.bridges);
  }
  UnwatchedLeases(const std::string& runtime_dir, const hostnet::ExposeRequest& request)
      : UnwatchedLeases(runtime_dir, std::span(&request, 1)) {}
  UnwatchedLeases(const UnwatchedLeases&) = delete;
  UnwatchedLeases& operator=(const UnwatchedLeases&) = delete;

  ~UnwatchedLeases() {
    std::set<std::string> ids;
    for (const auto& lease : ready_->prepared.leases) ids.insert(lease.id);
    auto transaction = store_.begin(soon());
    transaction.remove(ids);
    ready_.reset();
    transaction.tidy();
  }

 private:
  hostnet::exposer::LeaseStore store_;
  std::unique_ptr<Ready> ready_;
};

}  // namespace test
