// Lookups in a snapshot.
#include "lease/snapshot.hpp"

#include <algorithm>

namespace hostnet::state {
namespace {

auto* find_bridge(auto& bridges, int ifindex) {
  const auto found = std::ranges::find(bridges, ifindex, &Bridge::ifindex);
  return found == bridges.end() ? nullptr : &*found;
}

}  // namespace

const Bridge* Snapshot::bridge(int ifindex) const { return find_bridge(bridges, ifindex); }
Bridge* Snapshot::bridge(int ifindex) { return find_bridge(bridges, ifindex); }

void Snapshot::drop_idle_bridges() {
  std::erase_if(bridges, [this](const Bridge& bridge) {
    return std::ranges::find(leases, bridge.ifindex, &Lease::ifindex) == leases.end();
  });
}

}  // namespace hostnet::state
