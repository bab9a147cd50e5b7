// Rules in the binary form that ip_tables takes: `ipt_entry | matches | target`.
#pragma once

#include "firewall/ruleset.hpp"

#include <cstddef>
#include <string>
#include <vector>

struct ipt_entry;

namespace hostnet::firewall {

/// An encoded rule. The bytes are aligned for ipt_entry, being allocated by the default allocator.
class Entry {
 public:
  explicit Entry(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  [[nodiscard]] const ipt_entry* get() const { return reinterpret_cast<const ipt_entry*>(bytes_.data()); }

 private:
  std::vector<std::byte> bytes_;
};

/// Encodes for libiptc: the target of a jump, DROP and ACCEPT carries its name, libiptc makes the verdict of
/// it. DNAT is revision 2 (nf_nat_range2), the only one that iptables prints back.
/// @throws Error{invalid_argument} for an interface name over 15 or a comment over 255 bytes.
Entry encode(const Rule& rule);

/// What makes two rules the same to a packet and to a reader: everything but counters and what the kernel
/// fills in. `target` is the name libiptc gives the entry's target. Rules that encode() made and the kernel
/// gave back have the signature they had before.
std::string signature(const ipt_entry& entry, const char* target);

}  // namespace hostnet::firewall
