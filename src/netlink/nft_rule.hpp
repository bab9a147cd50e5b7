// What one nf_tables rule says, read from its expressions as the kernel lists them.
#pragma once

#include "netlink/nft_tables.hpp"
#include "netlink/request.hpp"

namespace hostnet::netlink {

/// From an NFT_MSG_NEWRULE message. Never throws for what the message holds: an expression that is not
/// understood counts as a match on something else.
NftRule parse_rule(const nlmsghdr& header);

}  // namespace hostnet::netlink
