// Which port of a bridge a container's address may send from, as data, and in the terms of nftables.
//
// A forward for one container knows it by its address, and a neighbour that can send ARP can take an address
// over. What it cannot take over is the port of the bridge that the container's veth is. So frames that come
// with a pinned address for one of the host's addresses there, and by another port, are dropped before
// anything looks at them, in the family bridge; what a container says to others is not looked at. So are
// claims by ARP to have such an address, before the host hears them.
//
// They stand in a table of their own, `bridge tc_hostnet`, in whichever firewall the rest stands: ip_tables
// has nothing like it.
#pragma once

#include "core/ipv4.hpp"

#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace hostnet::firewall {

/// An address, and the interface by which alone it may come. Several for one address: by any of them.
using Binding = std::pair<Ipv4, std::string>;

struct BindingPlan {
  std::set<Binding> bindings;
  std::set<Ipv4> gateways;  ///< What is protected.

  [[nodiscard]] bool empty() const noexcept { return bindings.empty(); }
  bool operator==(const BindingPlan&) const = default;
  /// Adds what the other one has.
  void merge(const BindingPlan& other);
};

namespace nft {

/// What makes the table as planned on an empty slate, for --dry-run, or over whatever is there of it.
std::string bindings_to_nft(const BindingPlan& plan);
/// What takes the table away.
std::string no_bindings();
/// What makes the table of one plan into that of another one; neither is empty.
std::string bindings_between(const BindingPlan& from, const BindingPlan& to);
/// Whether `nft --json --numeric-protocol list table bridge tc_hostnet` prints the table of this plan, and
/// nothing else in it. @throws nothing: what is not known is not it.
bool is_bindings(std::string_view json, const BindingPlan& plan) noexcept;

}  // namespace nft
}  // namespace hostnet::firewall
