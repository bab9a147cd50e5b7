// Follows one packet through the chains of one table. Pure; for nft's chains and for iptables'.
//
// It is conservative: a rule that may match may have decided, so what comes after it is no longer certain.
// A drop is certain only if the rule surely matches and nothing before it may have accepted the packet.
#pragma once

#include "firewall/packet.hpp"

#include <functional>
#include <string>
#include <vector>

namespace hostnet::firewall {

enum class Act : std::uint8_t { go_on, accept, drop, reject, jump, go_to, leave };

/// A rule, already compared with the packet.
struct JudgedRule {
  Truth matches = Truth::no;
  Act act = Act::go_on;
  std::string target;  ///< The chain of jump and go_to.
  std::size_t index = 0;
};

/// Where a packet is dropped, or may be.
struct Hit {
  bool certain = false;
  bool rejects = false;
  bool by_policy = false;
  std::string chain;
  std::size_t index = 0;  ///< JudgedRule::index; unused for a policy.
};

/// Returns a chain's rules, in order, compared with the packet; none for an unknown chain.
using ChainReader = std::function<std::vector<JudgedRule>(const std::string& chain)>;

/// The first certain drop of a base chain, else the first possible one.
std::optional<Hit> walk_chain(const std::string& chain, bool drop_policy, const ChainReader& rules);

}  // namespace hostnet::firewall
