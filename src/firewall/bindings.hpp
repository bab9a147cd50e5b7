// Anti-spoofing bindings: the bridge port from which a container's address may send, as data and for
// nftables.
//
// A forward for one container identifies it by its address, but a neighbour that can send ARP can take the
// address over. It cannot take over the container's veth, which is a port of the bridge. So the table drops,
// before any other rule, frames from a bound address to one of the host's addresses there that come in by
// another port. Frames to other containers pass. The table also drops ARP claims to a bound address on their
// way to the host.
//
// The bindings have a table of their own, `bridge tc_hostnet`, whichever firewall holds the other rules:
// ip_tables have no equivalent.
#pragma once

#include "core/ipv4.hpp"

#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace hostnet::firewall {

/// An address and the interface from which it may send. An address with several bindings may use any of them.
using Binding = std::pair<Ipv4, std::string>;

struct BindingPlan {
  std::set<Binding> bindings;
  std::set<Ipv4> gateways;  ///< The protected destinations.

  [[nodiscard]] bool empty() const noexcept { return bindings.empty(); }
  bool operator==(const BindingPlan&) const = default;
  /// Adds the other plan's bindings and gateways.
  void merge(const BindingPlan& other);
};

namespace nft {

/// The commands that make the table as planned, from nothing (--dry-run) or over any existing one.
std::string bindings_to_nft(const BindingPlan& plan);
/// The command that deletes the table.
std::string no_bindings();
/// The commands that turn the table of one plan into that of another. Neither plan may be empty.
std::string bindings_between(const BindingPlan& from, const BindingPlan& to);
/// Whether `nft --json --numeric-protocol list table bridge tc_hostnet` printed exactly the table of this
/// plan.
/// @throws nothing: false for a listing that it cannot read.
bool is_bindings(std::string_view json, const BindingPlan& plan) noexcept;

}  // namespace nft
}  // namespace hostnet::firewall
