// Where nf_tables really is in the packets' way: a listing of rules also has tables that are switched off
// (`flags dormant`), and libnftables before 1.0.7 leaves the devices of ingress and egress chains out.
#pragma once

#include <string>
#include <vector>

namespace hostnet::netlink {

/// A base chain that packets pass.
struct NftHook {
  std::string family;  ///< As nft names it: "ip", "inet", "netdev", "bridge", …
  std::string table;
  std::string chain;
  std::vector<std::string>
      devices;  ///< At ingress and egress; one that ends in '*' stands for all that begin so.

  bool operator==(const NftHook&) const = default;
};

/// The base chains of all families, without those of dormant tables. Empty when the kernel has no nf_tables.
/// @throws Error (CAP_NET_ADMIN).
std::vector<NftHook> nft_hooks();

}  // namespace hostnet::netlink
