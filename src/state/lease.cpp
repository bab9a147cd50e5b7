// Lookups in what is held.
#include "state/lease.hpp"

#include <algorithm>

namespace hostnet::state {
namespace {

template <class List, class Projection, class Key>
auto* find_in(List& list, Projection projection, const Key& key) {
  const auto found = std::ranges::find(list, key, projection);
  return found == list.end() ? nullptr : &*found;
}

}  // namespace

const char* to_string(Lifetime lifetime) noexcept {
  switch (lifetime) {
    case Lifetime::process:
      return "process";
    case Lifetime::descriptor:
      return "fd";
    case Lifetime::connection:
      return "connection";
    case Lifetime::persistent:
      return "persistent";
  }
  return "process";
}

std::optional<Lifetime> parse_lifetime(std::string_view text) noexcept {
  for (const auto lifetime :
       {Lifetime::process, Lifetime::descriptor, Lifetime::connection, Lifetime::persistent})
    if (text == to_string(lifetime)) return lifetime;
  return std::nullopt;
}

const Bridge* Holdings::bridge(int ifindex) const { return find_in(bridges, &Bridge::ifindex, ifindex); }
Bridge* Holdings::bridge(int ifindex) { return find_in(bridges, &Bridge::ifindex, ifindex); }
const Lease* Holdings::lease(const std::string& id) const { return find_in(leases, &Lease::id, id); }
Lease* Holdings::lease(const std::string& id) { return find_in(leases, &Lease::id, id); }

void Holdings::drop_idle_bridges() {
  std::erase_if(bridges, [this](const Bridge& bridge) {
    return std::ranges::find(leases, bridge.ifindex, &Lease::ifindex) == leases.end();
  });
}

}  // namespace hostnet::state
