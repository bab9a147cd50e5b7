// The meaning of one nf_tables rule, from the expressions that the kernel lists.
#pragma once

#include "netlink/nft_tables.hpp"
#include "netlink/request.hpp"

namespace hostnet::netlink {

/// Parses an NFT_MSG_NEWRULE message. Never throws because of the content: an unknown expression counts as a
/// match on something else.
NftRule parse_rule(const nlmsghdr& header);

}  // namespace hostnet::netlink
