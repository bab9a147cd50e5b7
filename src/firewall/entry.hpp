// Rules in ip_tables' binary form: `ipt_entry | matches | target`.
#pragma once

#include "firewall/ruleset.hpp"

#include <cstddef>
#include <string>
#include <vector>

struct ipt_entry;

namespace hostnet::firewall {

/// An encoded rule. The default allocator aligns the bytes for ipt_entry.
class Entry {
 public:
  explicit Entry(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  [[nodiscard]] const ipt_entry* get() const { return reinterpret_cast<const ipt_entry*>(bytes_.data()); }

 private:
  std::vector<std::byte> bytes_;
};

/// Encodes a rule for libiptc. The target of a jump, DROP or ACCEPT holds its name, which libiptc turns into
/// the verdict. DNAT uses revision 2 (nf_nat_range2), the only one that iptables prints back.
/// @throws Error{invalid_argument} for an interface name over 15 or a comment over 255 bytes.
Entry encode(const Rule& rule);

/// Identifies a rule: everything that matters to a packet or a reader, without counters and fields that the
/// kernel fills in. `target` is libiptc's name of the entry's target. A rule from encode() keeps its
/// signature on its way through the kernel.
std::string signature(const ipt_entry& entry, const char* target);

}  // namespace hostnet::firewall
