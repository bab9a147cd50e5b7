// Reads nf_tables (nfnetlink) to find out who manages INPUT and whether it admits our traffic. Read-only: it
// creates and loads no table.
#pragma once

#include "netlink/socket.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::netlink {

/// A chain of nf_tables in family ip or inet.
struct NftChain {
  std::string family;  ///< "ip" or "inet"
  std::string table;
  std::string name;
  bool base = false;  ///< It has a hook; the four members below are set.
  std::string type;   ///< "filter", "nat", "route"
  unsigned hook = 0;  ///< NF_INET_PRE_ROUTING 0 … NF_INET_POST_ROUTING 4
  int priority = 0;
  bool drop_policy = false;
  std::uint32_t use = 0;  ///< NFTA_CHAIN_USE: the number of its rules and of jumps to it.

  bool operator==(const NftChain&) const = default;
};

/// The parts of a rule that matter here: how it may decide about an incoming DNATed packet.
struct NftRule {
  bool accepts = false;  ///< Its verdict is accept.
  bool wants_dnat_status =
      false;  ///< Matches `ct status dnat` (native), or conntrack --ctstate DNAT (xtables).
  std::optional<std::string> iifname;  ///< Matches this input interface exactly (not negated), "docker*" too.
  unsigned other_matches = 0;          ///< Number of expressions that match something else.
  std::string comment;                 ///< May be empty.
};

/// Whether the kernel has nf_tables, and whether they have changed. Works in the network namespace of the
/// thread that made it. Not thread-safe.
class NftTables {
 public:
  /// @throws Error: no_path when the kernel has no nf_tables, not_authorised.
  NftTables();

  /// A number that the kernel increments by one with each transaction on this namespace's nf_tables.
  /// @throws Error.
  std::uint32_t generation();

  /// A table's flags (NFT_TABLE_F_*) in a family (NFPROTO_*), by default ip; nullopt when there is no such
  /// table. @throws Error.
  std::optional<std::uint32_t> flags(const std::string& table, std::uint8_t family = kFamilyIp);
  static constexpr std::uint8_t kFamilyIp = 2;

 private:
  Socket socket_;
};

/// All chains in families ip and inet, but those of dormant tables. Empty when the kernel has no nf_tables.
/// @throws Error (CAP_NET_ADMIN).
std::vector<NftChain> nft_chains();

/// The rules of one chain, in order. @throws Error.
std::vector<NftRule> nft_rules(const NftChain& chain);

}  // namespace hostnet::netlink
