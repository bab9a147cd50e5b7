// One connection's packets at every hook, and the comparisons of one field.
#include "firewall/packet.hpp"
#include "unit/firewall/foreign_rules.hpp"

#include <doctest/doctest.h>

#include <array>

using namespace hostnet;
using namespace hostnet::firewall;
using test::ip;
using test::passage;
using test::sidecar_passage;

namespace {

constexpr std::array kHooks{Hook::ingress, Hook::prerouting,  Hook::input, Hook::forward,
                            Hook::output,  Hook::postrouting, Hook::egress};

// "in>out source:port>destination:port", with "-" for no interface and "?" for one that is not known.
std::string text_of(const std::optional<Packet>& packet) {
  if (!packet) return "";
  const auto interface = [](bool there, const std::string& name) {
    return !there ? "-" : name.empty() ? "?" : name;
  };
  const auto end = [](const Prefix& address, std::optional<std::uint16_t> port) {
    return fmt::format("{}:{}", address.address.to_string(), port ? std::to_string(*port) : "*");
  };
  return fmt::format("{}>{} {}>{}{}{}", interface(packet->has_in, packet->in),
                     interface(packet->has_out, packet->out), end(packet->source, packet->source_port),
                     end(packet->destination, packet->destination_port), packet->tracked ? " tracked" : "",
                     packet->dnat ? " dnat" : "");
}

std::string at(const Passage& of, Layer layer, Hook hook, int priority = 0, const std::string& device = {}) {
  return text_of(packet_at(of, layer, hook, priority, device));
}

const std::string kRequest = "198.18.0.5:*>198.18.0.1:8088";
const std::string kDnated = "198.18.0.5:*>127.0.0.1:80";
const std::string kAnswer = "198.18.0.1:8088>198.18.0.5:*";

}  // namespace

TEST_CASE("packets to the host, in family ip") {
  CHECK(at(passage(), Layer::ip, Hook::prerouting, -300) == "br0>- " + kRequest);
  CHECK(at(passage(), Layer::ip, Hook::prerouting, -200) == "br0>- " + kRequest);
  CHECK(at(passage(), Layer::ip, Hook::prerouting, -150) == "br0>- " + kRequest + " tracked");
  CHECK(at(passage(), Layer::ip, Hook::prerouting, -100) == "br0>- " + kDnated + " tracked dnat");
  CHECK(at(passage(), Layer::ip, Hook::input, -300) == "br0>- " + kDnated + " tracked dnat");
  CHECK(at(passage(), Layer::ip, Hook::forward).empty());
  CHECK(at(passage(), Layer::ip, Hook::output, -300) == "->br0 127.0.0.1:80>198.18.0.5:*");
  CHECK(at(passage(), Layer::ip, Hook::output, 0) == "->br0 127.0.0.1:80>198.18.0.5:* tracked dnat");
  CHECK(at(passage(), Layer::ip, Hook::postrouting, -300) == "->br0 127.0.0.1:80>198.18.0.5:* tracked dnat");
  const auto early = packet_at(passage(), Layer::ip, Hook::output, -300).value();
  CHECK_FALSE(early.original_destination);
  CHECK(packet_at(passage(), Layer::ip, Hook::output, 0)->original_destination == ip("198.18.0.1"));
  CHECK(early.answer);
  CHECK(early.to_host == false);
  CHECK(packet_at(passage(), Layer::ip, Hook::prerouting, -300)->to_host == true);
}

TEST_CASE("packets to a socket of the host, which no rule changes") {
  auto to_socket = passage();
  to_socket.dnat = false;
  to_socket.service = to_socket.dialled;
  to_socket.host_port = to_socket.dialled_port;
  CHECK(at(to_socket, Layer::ip, Hook::prerouting, -300) == "br0>- " + kRequest);
  CHECK(at(to_socket, Layer::ip, Hook::input, 0) == "br0>- " + kRequest + " tracked");
  CHECK(at(to_socket, Layer::ip, Hook::output, -300) == "->br0 " + kAnswer);
  CHECK(at(to_socket, Layer::ip, Hook::postrouting, 0) == "->br0 " + kAnswer + " tracked");
  to_socket.bridge_calls_iptables = true;
  CHECK(packet_at(to_socket, Layer::bridge, Hook::input, 0)->destination.address == to_socket.dialled);
}

TEST_CASE("packets to the host, in the bridge") {
  CHECK(at(passage(), Layer::bridge, Hook::prerouting) == "veth1>- " + kRequest);
  CHECK(at(passage(), Layer::bridge, Hook::input) == "veth1>- " + kRequest);
  CHECK(at(passage(), Layer::bridge, Hook::forward).empty());
  CHECK(at(passage(), Layer::bridge, Hook::output) == "->veth1 " + kAnswer);
  CHECK(at(passage(), Layer::bridge, Hook::postrouting) == "->veth1 " + kAnswer);
  auto calls = passage();
  calls.bridge_calls_iptables = true;
  CHECK(at(calls, Layer::bridge, Hook::prerouting, 0) == "veth1>- " + kRequest);
  CHECK(at(calls, Layer::bridge, Hook::prerouting, 1) == "veth1>- " + kDnated);
  CHECK(at(calls, Layer::bridge, Hook::input, -300) == "veth1>- " + kDnated);
  CHECK(packet_at(passage(), Layer::bridge, Hook::input, 0)->is_l2());
  CHECK_FALSE(packet_at(passage(), Layer::ip, Hook::input, 0)->is_l2());
  CHECK_FALSE(packet_at(passage(), Layer::bridge, Hook::input, 0)->to_host);
}

TEST_CASE("packets to the host, at a device") {
  CHECK(at(passage(), Layer::device, Hook::ingress, 0, "veth1") == "veth1>- " + kRequest);
  CHECK(at(passage(), Layer::device, Hook::egress, 0, "br0") == "->br0 " + kAnswer);
  CHECK(at(passage(), Layer::device, Hook::input, 0, "br0").empty());
}

TEST_CASE("packets to a sidecar stay in the bridge, unless it calls family ip") {
  const auto calls = sidecar_passage();
  auto quiet = calls;
  quiet.bridge_calls_iptables = false;
  for (const auto hook : kHooks) CHECK(at(quiet, Layer::ip, hook).empty());
  CHECK(at(calls, Layer::ip, Hook::input).empty());
  CHECK(at(calls, Layer::ip, Hook::output).empty());
  CHECK(at(calls, Layer::ip, Hook::prerouting, -300) == "br0>- " + kRequest);
  CHECK(at(calls, Layer::ip, Hook::prerouting, 0) == "br0>- " + kRequest + " tracked");
  CHECK(at(calls, Layer::ip, Hook::forward, -300) == "br0>br0 " + kRequest + " tracked");
  CHECK(at(calls, Layer::ip, Hook::postrouting) == "->br0 " + kRequest + " tracked");
  CHECK(packet_at(calls, Layer::ip, Hook::prerouting, 0)->original_destination == ip("198.18.0.1"));
  CHECK_FALSE(packet_at(calls, Layer::ip, Hook::prerouting, -300)->original_destination);
  CHECK(packet_at(calls, Layer::ip, Hook::forward, 0)->to_host == false);

  CHECK(at(calls, Layer::bridge, Hook::prerouting, 1) == "veth1>- " + kRequest);
  CHECK(at(calls, Layer::bridge, Hook::input).empty());
  CHECK(at(calls, Layer::bridge, Hook::output).empty());
  CHECK(at(calls, Layer::bridge, Hook::forward) == "veth1>? " + kRequest);
  CHECK(at(calls, Layer::bridge, Hook::postrouting) == "->? " + kRequest);
  CHECK(at(calls, Layer::device, Hook::ingress, 0, "veth1") == "veth1>- " + kRequest);
  CHECK(at(calls, Layer::device, Hook::egress, 0, "veth1") == "->veth1 " + kAnswer);
  CHECK(
      at(calls, Layer::device, Hook::egress, 0, "br0").empty());  // its answers do not pass the bridge's own
}

TEST_CASE("hooks have an order, from the port to the host and back") {
  const std::array order{
      std::pair(Layer::device, Hook::ingress),     std::pair(Layer::bridge, Hook::prerouting),
      std::pair(Layer::bridge, Hook::input),       std::pair(Layer::ip, Hook::prerouting),
      std::pair(Layer::ip, Hook::input),           std::pair(Layer::ip, Hook::output),
      std::pair(Layer::ip, Hook::postrouting),     std::pair(Layer::bridge, Hook::output),
      std::pair(Layer::bridge, Hook::postrouting), std::pair(Layer::device, Hook::egress)};
  for (std::size_t i = 1; i < order.size(); ++i)
    CHECK(place_of(order[i - 1].first, order[i - 1].second) < place_of(order[i].first, order[i].second));
  CHECK(place_of(Layer::bridge, Hook::forward) < place_of(Layer::bridge, Hook::postrouting));
}

TEST_CASE("names of hooks and of TCP flags, in any case") {
  const std::array<std::string_view, kHooks.size()> names{"ingress", "prerouting",  "input", "forward",
                                                          "output",  "postrouting", "egress"};
  for (std::size_t i = 0; i < names.size(); ++i) CHECK(parse_hook(names[i]) == kHooks[i]);
  CHECK(parse_hook("PREROUTING") == Hook::prerouting);
  for (const auto* const wrong : {"", "in", "inputs", "TCHN-IN"}) CHECK_FALSE(parse_hook(wrong));
  CHECK(parse_tcp_flag("fin") == 1);
  CHECK(parse_tcp_flag("SYN") == 2);
  CHECK(parse_tcp_flag("ack") == 0x10);
  CHECK(parse_tcp_flag("cwr") == 0x80);
  for (const auto* const wrong : {"", "s", "synack", "all"}) CHECK_FALSE(parse_tcp_flag(wrong));
}

TEST_CASE("comparisons: a part that may be meant is maybe") {
  const Prefix network{ip("198.18.0.0"), 24};
  CHECK(is_within({ip("198.18.0.9"), 32}, network) == Truth::yes);
  CHECK(is_within(network, network) == Truth::yes);
  CHECK(is_within(network, {ip("198.18.0.9"), 32}) == Truth::maybe);
  CHECK(is_within(network, {ip("198.18.1.9"), 32}) == Truth::no);
  CHECK(is_within({ip("198.18.1.9"), 32}, network) == Truth::no);
  CHECK(is_port_within({}, 0, 65535) == Truth::yes);
  CHECK(is_port_within({}, 1, 65535) == Truth::maybe);
  CHECK(is_port_within({}, 0, 1023) == Truth::maybe);
  CHECK(is_port_within(80, 80, 80) == Truth::yes);
  CHECK(is_port_within(80, 81, 90) == Truth::no);
  CHECK(is_port_within(80, 70, 79) == Truth::no);
  CHECK(is_interface(false, "br0", "br0") == Truth::no);
  CHECK(is_interface(true, "br0", "br0") == Truth::yes);
  CHECK(is_interface(true, "br01", "br0") == Truth::no);
  CHECK(is_interface(true, "br01", "br0+") == Truth::yes);
  CHECK(is_interface(true, "br01", "br0*") == Truth::yes);
  CHECK(is_interface(true, "eth0", "br*") == Truth::no);
  CHECK(is_interface(true, "", "br0") == Truth::maybe);
  CHECK(is_interface(true, "", "*") == Truth::yes);
  CHECK(is_interface(true, "", "+") == Truth::yes);
  CHECK(negation(Truth::yes) == Truth::no);
  CHECK(negation(Truth::no) == Truth::yes);
  CHECK(negation(Truth::maybe) == Truth::maybe);
  CHECK(both(Truth::maybe, Truth::no) == Truth::no);
  CHECK(both(Truth::yes, Truth::maybe) == Truth::maybe);
  CHECK(either(Truth::maybe, Truth::no) == Truth::maybe);
  CHECK(either(Truth::no, Truth::yes) == Truth::yes);
}
