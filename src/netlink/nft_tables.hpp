// A read-only look at nf_tables (nfnetlink), to tell who manages INPUT and whether it would let our traffic
// in. Listing only: nothing here creates or loads a table.
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
  bool base = false;  ///< It hangs on a hook; then the four below are set.
  std::string type;   ///< "filter", "nat", "route"
  unsigned hook = 0;  ///< NF_INET_PRE_ROUTING 0 … NF_INET_POST_ROUTING 4
  int priority = 0;
  bool drop_policy = false;
  std::uint32_t use = 0;  ///< NFTA_CHAIN_USE: its rules and the jumps to it.

  bool operator==(const NftChain&) const = default;
};

/// What matters here of one rule: how it could decide about a packet that was DNATed on its way in.
struct NftRule {
  bool accepts = false;  ///< Has the verdict accept.
  bool wants_dnat_status =
      false;  ///< Matches `ct status dnat` (native), or conntrack --ctstate DNAT (xtables).
  std::optional<std::string> iifname;  ///< Matches this input interface exactly (not negated), "docker*" too.
  unsigned other_matches = 0;          ///< Number of expressions that match something else.
  std::string comment;                 ///< As far as it is told; may be empty.
};

/// Whether there is something to be read at all, and whether it has changed. In the network namespace of the
/// thread that made it. Not thread-safe.
class NftTables {
 public:
  /// @throws Error: no_path where the kernel has no nf_tables, not_authorised.
  NftTables();

  /// A number that the kernel counts up by one with each transaction on nf_tables of this namespace.
  /// @throws Error.
  std::uint32_t generation();

  /// The flags (NFT_TABLE_F_*) of a table in a family (NFPROTO_*), ip unless told; nullopt when there is no
  /// such table. @throws Error.
  std::optional<std::uint32_t> flags(const std::string& table, std::uint8_t family = kFamilyIp);
  static constexpr std::uint8_t kFamilyIp = 2;

 private:
  Socket socket_;
};

/// Every chain in families ip and inet. Empty where the kernel has no nf_tables. @throws Error
/// (CAP_NET_ADMIN).
std::vector<NftChain> nft_chains();

/// The rules of one chain, in order. @throws Error.
std::vector<NftRule> nft_rules(const NftChain& chain);

}  // namespace hostnet::netlink
