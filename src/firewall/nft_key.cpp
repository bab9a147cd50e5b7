// What nft's keys are for one packet.
#include "firewall/nft_key.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace hostnet::firewall {
namespace {

using json::View;

// Numbers as nft prints them with --numeric-protocol.
constexpr std::uint64_t kIpv4Family = 2;
constexpr std::uint64_t kIpv4Ethertype = 0x0800;

// Headers that no packet of the connection has.
constexpr std::array<std::string_view, 12> kOtherProtocols{
    "ip6", "arp", "icmp", "icmpv6", "igmp", "vlan", "sctp", "dccp", "udplite", "esp", "ah", "comp"};

// Of "syn", 18, ["syn", "ack"] or {"|": ["syn", "ack"]}, depending on the version; nullopt for anything else.
std::optional<std::uint64_t> flag_bits(View value) {
  if (const auto number = value.natural()) return number;
  if (const auto text = value.text()) return parse_tcp_flag(*text);
  const auto parts = value.is_list() ? value : value.find("|");
  if (!parts.is_list()) return std::nullopt;
  std::uint64_t all = 0;
  for (const auto part : parts.elements()) {
    const auto bits = flag_bits(part);
    if (!bits) return std::nullopt;
    all |= *bits;
  }
  return all;
}

// Of an element, which may have a comment, a counter or a timeout around its value.
View value_in(View element) {
  const auto whole = element.find("elem");
  return whole.is_object() ? whole.find("val") : element;
}

}  // namespace

std::string text_at(View object, std::string_view name) {
  return std::string(object.find(name).text().value_or(""));
}

bool is_catch_all(View element) { return value_in(element).text() == "*"; }

Field::Field(View left, const Packet& packet) : packet_(packet) { read(left); }

Truth Field::is(View right) const {
  switch (kind_) {
    case Kind::interface:
      return right.text() ? is_interface(there_, interface_, *right.text()) : Truth::maybe;
    case Kind::address:
      return is_address(right);
    case Kind::port:
      return is_port(right);
    case Kind::word:
      return doubtful_.empty() ? is_word(right) : both(is_word(right), Truth::maybe);
    case Kind::flags: {
      const auto bits = flag_bits(right);
      return !bits ? Truth::maybe : *bits == flags_ ? Truth::yes : Truth::no;
    }
    case Kind::absent:
      return Truth::no;
    case Kind::unknown:
      break;
  }
  return Truth::maybe;
}

Truth Field::has_any(View right) const {
  if (kind_ == Kind::flags) {
    const auto bits = flag_bits(right);
    return !bits ? Truth::maybe : (*bits & flags_) != 0 ? Truth::yes : Truth::no;
  }
  if (kind_ != Kind::word) return is(right);
  if (!right.is_list()) return is_word(right);
  Truth any = Truth::no;
  for (const auto one : right.elements()) any = either(any, is_word(one));
  return any;
}

Truth Field::is_port_between(std::uint64_t from, std::uint64_t to) const {
  return kind_ == Kind::port ? is_port_within(port_, from, to) : Truth::maybe;
}

void Field::read(View left) {
  if (const auto meta = left.find("meta"); meta.is_object()) read_meta(text_at(meta, "key"));
  if (const auto ct = left.find("ct"); ct.is_object()) read_ct(text_at(ct, "key"), text_at(ct, "dir"));
  if (const auto payload = left.find("payload"); payload.is_object())
    read_payload(text_at(payload, "protocol"), text_at(payload, "field"));
  if (const auto masked = left.find("&"); masked.is_list()) read_masked(masked);
  if (const auto fib = left.find("fib"); text_at(fib, "result") == "type" && packet_.to_host) {
    const auto flags = fib.find("flags");  // a list, or one text since version 1.1.2
    if ((flags.size() == 1 ? flags[0] : flags).text() == "daddr")
      be_word({*packet_.to_host ? "local" : "unicast"});
  }
}

// `tcp flags & (syn | ack)`; other masks are unknown.
void Field::read_masked(View masked) {
  const auto payload = masked[0].find("payload");
  if (text_at(payload, "field") != "flags") return;
  read_payload(text_at(payload, "protocol"), "flags");
  if (kind_ != Kind::flags) return;
  const auto mask = flag_bits(masked[1]);
  if (mask)
    flags_ &= *mask;
  else
    kind_ = Kind::unknown;
}

void Field::read_meta(const std::string& key) {
  if (key == "iifname" || key == "iif") be_interface(packet_.has_in, packet_.in);
  if (key == "oifname" || key == "oif") be_interface(packet_.has_out, packet_.out);
  if (key == "ibrname") be_interface(packet_.has_in, packet_.bridge);
  if (key == "obrname") be_interface(packet_.has_out, packet_.bridge);
  if (key == "l4proto") be_protocol();
  if (key == "nfproto") be_word({"ipv4"}, kIpv4Family);
  if (key == "protocol") be_word({"ip"}, kIpv4Ethertype);
}

void Field::read_ct(const std::string& key, const std::string& direction) {
  if (!packet_.tracked) return;
  if (key == "state") be_word({packet_.answer ? "established" : "new"});
  if (key == "direction") be_word({packet_.answer ? "reply" : "original"});
  if (key == "status" && packet_.dnat) {
    be_word({"dnat"});
    doubtful_ = {"assured", "confirmed", "seen-reply", "dying"};
  }
  if (direction != "original") return;
  if (key == "ip daddr" && packet_.original_destination) be_address({*packet_.original_destination, 32});
  if (key == "ip saddr") be_address(packet_.answer ? packet_.destination : packet_.source);
}

void Field::read_payload(const std::string& protocol, const std::string& field) {
  const bool same = protocol == "th" || protocol == to_string(packet_.protocol);
  if (protocol == "ip") {
    if (field == "saddr") be_address(packet_.source);
    if (field == "daddr") be_address(packet_.destination);
    if (field == "protocol") be_protocol();
    if (field == "version") be_word({}, 4);
  } else if (protocol == "ether") {
    if (field == "type") be_word({"ip"}, kIpv4Ethertype);
  } else if (std::ranges::find(kOtherProtocols, protocol) != kOtherProtocols.end() ||
             ((protocol == "tcp" || protocol == "udp") && !same)) {
    kind_ = Kind::absent;
  } else if (same) {
    if (field == "sport") be_port(packet_.source_port);
    if (field == "dport") be_port(packet_.destination_port);
    if (field == "flags" && protocol == "tcp") be_flags(packet_.tcp_flags());
  }
}

void Field::be_interface(bool there, std::string name) {
  kind_ = Kind::interface;
  there_ = there;
  interface_ = std::move(name);
}
void Field::be_address(Prefix prefix) {
  kind_ = Kind::address;
  address_ = prefix;
}
void Field::be_port(std::optional<std::uint16_t> port) {
  kind_ = Kind::port;
  port_ = port;
}
void Field::be_word(Words words, std::optional<std::uint64_t> number) {
  kind_ = Kind::word;
  words_ = std::move(words);
  number_ = number;
}
void Field::be_flags(std::uint64_t flags) {
  kind_ = Kind::flags;
  flags_ = flags;
}
void Field::be_protocol() {
  be_word({to_string(packet_.protocol)}, static_cast<std::uint64_t>(packet_.protocol));
}

Truth Field::is_address(View right) const {
  const auto parsed = [](View text) { return Ipv4::parse(text.text().value_or("")); };
  if (const auto one = parsed(right)) return is_within(address_, {*one, 32});
  if (const auto prefix = right.find("prefix"); prefix.is_object()) {
    const auto net = parsed(prefix.find("addr"));
    const auto length = prefix.find("len").natural();
    return net && length && *length <= 32 ? is_within(address_, {*net, static_cast<unsigned>(*length)})
                                          : Truth::maybe;
  }
  if (const auto range = right.find("range"); range.size() == 2) {
    const auto from = parsed(range[0]);
    const auto to = parsed(range[1]);
    if (!from || !to) return Truth::maybe;
    const auto first = address_.address.host & netmask(address_.length);
    const auto last = first | ~netmask(address_.length);
    if (first >= from->host && last <= to->host) return Truth::yes;
    return last < from->host || first > to->host ? Truth::no : Truth::maybe;
  }
  return Truth::maybe;
}

Truth Field::is_port(View right) const {
  if (const auto one = right.natural()) return is_port_within(port_, *one, *one);
  if (const auto range = right.find("range"); range.size() == 2 && range[0].natural() && range[1].natural())
    return is_port_within(port_, *range[0].natural(), *range[1].natural());
  return Truth::maybe;
}

Truth Field::is_word(View right) const {
  if (const auto number = right.natural())
    return number_ ? (*number == *number_ ? Truth::yes : Truth::no) : Truth::maybe;
  const auto text = right.text();
  if (!text) return Truth::maybe;
  if (std::ranges::find(doubtful_, *text) != doubtful_.end()) return Truth::maybe;
  return std::ranges::find(words_, *text) != words_.end() ? Truth::yes : Truth::no;
}

Key::Key(View left, const Packet& packet) {
  if (const auto parts = left.find("concat"); parts.is_list())
    for (const auto part : parts.elements()) fields_.emplace_back(part, packet);
  else
    fields_.emplace_back(left, packet);
}

bool Key::is_absent() const { return std::ranges::any_of(fields_, &Field::is_absent); }

Truth Key::is(View element) const {
  const auto right = value_in(element);
  if (is_absent()) return Truth::no;
  if (is_catch_all(right)) return Truth::yes;
  if (fields_.size() == 1) return fields_.front().is(right);
  const auto parts = right.find("concat");
  if (parts.size() != fields_.size()) return Truth::maybe;
  Truth all = Truth::yes;
  for (std::size_t i = 0; i < fields_.size(); ++i) all = both(all, fields_[i].is(parts[i]));
  return all;
}

Truth Key::has_any(View right) const {
  return fields_.size() == 1 ? fields_.front().has_any(right) : is(right);
}

Truth Key::is_port_between(std::uint64_t from, std::uint64_t to) const {
  return fields_.size() == 1 ? fields_.front().is_port_between(from, to) : Truth::maybe;
}

}  // namespace hostnet::firewall
