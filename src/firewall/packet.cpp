// One connection's packets at the hooks.
#include "firewall/packet.hpp"

#include <strings.h>

#include <algorithm>
#include <array>
#include <utility>

namespace hostnet::firewall {
namespace {

// Priorities of conntrack and of DNAT, linux/netfilter_ipv4.h.
constexpr int kConntrackPriority = -200;
constexpr int kDnatPriority = -100;

// From the container to the address that it dials.
Packet request_of(const Passage& passage) {
  Packet packet;
  packet.source = passage.source;
  packet.destination = {passage.dialled, 32};
  packet.protocol = passage.protocol;
  packet.destination_port = passage.dialled_port;
  return packet;
}

Packet answer_of(const Passage& passage, Ipv4 from, std::optional<std::uint16_t> port) {
  Packet packet;
  packet.source = {from, 32};
  packet.destination = passage.source;
  packet.protocol = passage.protocol;
  packet.source_port = port;
  packet.answer = true;
  return packet;
}

bool is_named(std::string_view name, std::string_view wanted) {
  return name.size() == wanted.size() && ::strncasecmp(name.data(), wanted.data(), name.size()) == 0;
}

// Where br_netfilter calls the hooks of family ip, linux/netfilter_bridge.h.
constexpr int kBridgeCallsPriority = 0;

std::optional<Packet> at_bridge(const Passage& passage, Hook hook, int priority) {
  Packet packet = request_of(passage);
  if (hook == Hook::output || (hook == Hook::postrouting && !passage.to_sidecar)) {
    if (passage.to_sidecar) return std::nullopt;
    packet = answer_of(passage, passage.dialled, passage.dialled_port);
    packet.out = passage.port;
    packet.has_out = true;
  } else {
    if (hook == (passage.to_sidecar ? Hook::input : Hook::forward)) return std::nullopt;
    packet.in = passage.port;
    packet.has_in = hook != Hook::postrouting;
    packet.has_out = hook == Hook::forward || hook == Hook::postrouting;
    // Called from the bridge's prerouting, family ip has done the DNAT already.
    if (!passage.to_sidecar && passage.bridge_calls_iptables &&
        (hook == Hook::input || priority > kBridgeCallsPriority)) {
      packet.destination = {passage.service, 32};
      packet.destination_port = passage.host_port;
    }
  }
  packet.bridge = passage.bridge;
  return packet;
}

std::optional<Packet> at_ip(const Passage& passage, Hook hook, int priority) {
  if (passage.to_sidecar) {
    if (!passage.bridge_calls_iptables || hook == Hook::input || hook == Hook::output) return std::nullopt;
    Packet packet = request_of(passage);
    packet.has_in = hook != Hook::postrouting;
    packet.has_out = hook != Hook::prerouting;
    if (packet.has_in) packet.in = passage.bridge;
    if (packet.has_out) packet.out = passage.bridge;
    packet.tracked = hook != Hook::prerouting || priority > kConntrackPriority;
    packet.to_host = false;
    if (packet.tracked) packet.original_destination = passage.dialled;
    return packet;
  }
  if (hook == Hook::forward) return std::nullopt;
  if (hook == Hook::output || hook == Hook::postrouting) {
    Packet packet = answer_of(passage, passage.service, passage.host_port);
    packet.out = passage.bridge;
    packet.has_out = true;
    packet.tracked = hook == Hook::postrouting || priority > kConntrackPriority;
    packet.dnat = packet.tracked && passage.dnat;
    packet.to_host = false;
    if (packet.tracked) packet.original_destination = passage.dialled;
    return packet;
  }
  Packet packet = request_of(passage);
  packet.in = passage.bridge;
  packet.has_in = true;
  packet.tracked = hook == Hook::input || priority > kConntrackPriority;
  packet.dnat = passage.dnat && (hook == Hook::input || priority >= kDnatPriority);
  packet.to_host = true;
  if (packet.tracked) packet.original_destination = passage.dialled;
  if (packet.dnat) {
    packet.destination = {passage.service, 32};
    packet.destination_port = passage.host_port;
  }
  return packet;
}

std::optional<Packet> at_device(const Passage& passage, Hook hook, const std::string& device) {
  if (hook == Hook::ingress) {
    Packet packet = request_of(passage);
    packet.in = device;
    packet.has_in = true;
    return packet;
  }
  // A sidecar's answers stay below the bridge's own device.
  if (hook != Hook::egress || (passage.to_sidecar && device == passage.bridge)) return std::nullopt;
  Packet packet = answer_of(passage, passage.dialled, passage.dialled_port);
  packet.out = device;
  packet.has_out = true;
  return packet;
}

}  // namespace

std::optional<Hook> parse_hook(std::string_view name) {
  constexpr std::array<std::pair<const char*, Hook>, 7> names{{{"ingress", Hook::ingress},
                                                               {"prerouting", Hook::prerouting},
                                                               {"input", Hook::input},
                                                               {"forward", Hook::forward},
                                                               {"output", Hook::output},
                                                               {"postrouting", Hook::postrouting},
                                                               {"egress", Hook::egress}}};
  for (const auto& [text, hook] : names)
    if (is_named(name, text)) return hook;
  return std::nullopt;
}

std::optional<std::uint64_t> parse_tcp_flag(std::string_view name) {
  std::uint64_t bit = 1;
  for (const char* const flag : {"fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"}) {
    if (is_named(name, flag)) return bit;
    bit <<= 1;
  }
  return std::nullopt;
}

std::optional<Packet> packet_at(const Passage& passage, Layer layer, Hook hook, int priority,
                                const std::string& device) {
  if (layer == Layer::ip) return at_ip(passage, hook, priority);
  if (layer == Layer::bridge) return at_bridge(passage, hook, priority);
  return at_device(passage, hook, device);
}

int place_of(Layer layer, Hook hook) {
  const bool outward = hook == Hook::output || hook == Hook::postrouting;
  const bool bridge = layer == Layer::bridge;
  if (hook == Hook::ingress) return 0;
  if (hook == Hook::egress) return 30;
  if (outward) return bridge ? 20 + static_cast<int>(hook) : 10 + static_cast<int>(hook);
  if (hook == Hook::prerouting) return bridge ? 1 : 3;
  return bridge ? 2 : 4;
}

Truth is_within(const Prefix& value, const Prefix& wanted) {
  if (value.length >= wanted.length)
    return contains(wanted.address, wanted.length, value.address) ? Truth::yes : Truth::no;
  return contains(value.address, value.length, wanted.address) ? Truth::maybe : Truth::no;
}

Truth is_port_within(std::optional<std::uint16_t> value, std::uint64_t from, std::uint64_t to) {
  if (from == 0 && to >= 0xffff) return Truth::yes;
  if (!value) return Truth::maybe;
  return *value >= from && *value <= to ? Truth::yes : Truth::no;
}

Truth is_interface(bool there, const std::string& name, std::string_view wanted) {
  if (!there) return Truth::no;
  if (name.empty()) return wanted == "*" || wanted == "+" ? Truth::yes : Truth::maybe;
  if (wanted.ends_with('*') || wanted.ends_with('+'))
    return name.starts_with(wanted.substr(0, wanted.size() - 1)) ? Truth::yes : Truth::no;
  return name == wanted ? Truth::yes : Truth::no;
}

Truth negation(Truth truth) {
  return truth == Truth::yes ? Truth::no : truth == Truth::no ? Truth::yes : Truth::maybe;
}
Truth both(Truth one, Truth other) { return std::min(one, other); }
Truth either(Truth one, Truth other) { return std::max(one, other); }

}  // namespace hostnet::firewall
