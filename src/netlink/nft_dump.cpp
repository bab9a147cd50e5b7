// Families and dormant tables.
#include "netlink/nft_dump.hpp"

namespace hostnet::netlink {

std::string family_of(const nlmsghdr& header) {
  switch (payload<nfgenmsg>(header).nfgen_family) {
    case NFPROTO_INET:
      return "inet";
    case NFPROTO_IPV4:
      return "ip";
    case NFPROTO_IPV6:
      return "ip6";
    case NFPROTO_ARP:
      return "arp";
    case NFPROTO_NETDEV:
      return "netdev";
    case NFPROTO_BRIDGE:
      return "bridge";
    default:
      return {};
  }
}

Socket open_nft() {
  try {
    return open_socket(NETLINK_NETFILTER);
  } catch (const Error& error) {
    if (error.sys_errno() == EPROTONOSUPPORT) return {};
    throw;
  }
}

std::vector<TableName> dormant_tables() {
  return dump_nft<TableName>(
      NFT_MSG_GETTABLE, "list nf_tables tables", [](const nlmsghdr& header, std::vector<TableName>& out) {
        const Attributes<NFTA_TABLE_MAX> attributes(header, sizeof(nfgenmsg));
        if ((get_be32(attributes[NFTA_TABLE_FLAGS]) & NFT_TABLE_F_DORMANT) != 0)
          out.push_back({family_of(header), std::string(get_text(attributes[NFTA_TABLE_NAME]))});
      });
}

}  // namespace hostnet::netlink
