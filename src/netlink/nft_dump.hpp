// What every listing of nf_tables shares: one dump over all families, and the tables that are switched off.
#pragma once

#include "hostnet/error.hpp"
#include "netlink/request.hpp"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <string>
#include <vector>

namespace hostnet::netlink {

constexpr int nft_message_type(int nft_message) { return NFNL_SUBSYS_NFTABLES << 8 | nft_message; }

/// The family of a message about nf_tables, as nft names it; empty for an unknown one.
std::string family_of(const nlmsghdr& header);

/// A socket for nf_tables; empty if the kernel has none. @throws Error.
Socket open_nft();

/// Lists chains or tables (`message`: NFT_MSG_GET…) of all families. Nothing if the kernel has no nf_tables.
/// @throws Error that says what could not be done: `doing`.
template <class Item, class Parse>
std::vector<Item> dump_nft(int message, const char* doing, Parse parse) {
  const auto socket = open_nft();
  if (!socket) return {};
  // NFPROTO_UNSPEC lists all families in one dump.
  const auto request = make_message(nft_message_type(message), NLM_F_DUMP,
                                    nfgenmsg{.nfgen_family = NFPROTO_UNSPEC, .version = NFNETLINK_V0});
  std::vector<Item> items;
  const int error = dump(socket.get(), request.get(), items, parse);
  if (error == EINVAL || error == EOPNOTSUPP) return {};
  if (error != 0) throw Error::from_errno(doing, error);
  return items;
}

struct TableName {
  std::string family;
  std::string name;
  bool operator==(const TableName&) const = default;
};

/// The tables with `flags dormant`: their chains are listed, and no packet passes them. @throws Error.
std::vector<TableName> dormant_tables();

}  // namespace hostnet::netlink
