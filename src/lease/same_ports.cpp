// A table of the process's leases. A forked child begins a new one: another thread of its parent may have held the lock.
#include "lease/same_ports.hpp"

#include "core/forked.hpp"

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

namespace hostnet::exposer {
namespace {

struct Known {
  std::string id;
  std::set<HostPort> ports;
  std::vector<std::string> addresses;
};

struct KnownLeases {
  explicit KnownLeases(std::uint64_t generation) : made_in(generation) {}

  const std::uint64_t made_in;
  std::mutex mutex;  // guards what follows
  std::map<const KnownLease*, Known> leases;
};

// Never destroyed: a lease may outlive every object of this file.
std::atomic<KnownLeases*> all_known = nullptr;

KnownLeases& known_leases() {
  auto* current = all_known.load();
  while (current == nullptr || current->made_in != fork_generation()) {
    auto fresh = std::make_unique<KnownLeases>(fork_generation());
    if (all_known.compare_exchange_strong(current, fresh.get())) return *fresh.release();
  }
  return *current;
}

}  // namespace

KnownLease::KnownLease() : made_in_(fork_generation()) {}

KnownLease::~KnownLease() {
  if (made_in_ != fork_generation()) return;
  auto& known = known_leases();
  const std::lock_guard lock(known.mutex);
  known.leases.erase(this);
}

void KnownLease::set(const std::string& lease, std::span<const HostPort> ports,
                     std::vector<std::string> addresses) {
  auto& known = known_leases();
  const std::lock_guard lock(known.mutex);
  known.leases[this] = {lease, {ports.begin(), ports.end()}, std::move(addresses)};
}

std::vector<std::string> names_beside(std::span<const HostPort> ports) {
  const std::set<HostPort> wanted(ports.begin(), ports.end());
  std::vector<std::string> out;
  auto& known = known_leases();
  const std::lock_guard lock(known.mutex);
  for (const auto& [_, lease] : known.leases) {
    if (lease.ports != wanted) continue;
    out.push_back(lease.id);
    out.insert(out.end(), lease.addresses.begin(), lease.addresses.end());
  }
  return out;
}

}  // namespace hostnet::exposer
