// Which listeners are reached from where, and what is said of the others.
#include "lease/command_line.hpp"
#include "lease/listening.hpp"

#include <doctest/doctest.h>

#include <cstring>

using namespace hostnet;
using namespace hostnet::exposer;

namespace {

netlink::Listener on(std::string_view address, std::uint16_t port, std::uint32_t device = 0) {
  netlink::Listener listener{.port = port, .device = device};
  const auto ip = Ip::parse(address).value();
  if (const auto plain = ip.ipv4()) {
    const auto network = plain->network();
    std::memcpy(listener.address.data(), &network, sizeof network);
  } else {
    listener.ipv6 = true;
    listener.address = ip.bytes;
  }
  return listener;
}

constexpr auto kLo = netlink::kLoopbackDevice;

std::string told(const char* wanted, const std::vector<netlink::Listener>& found,
                 Origin origin = Origin::host) {
  const auto others = others_of(HostPort::parse(wanted), found, origin);
  if (!others) return "none";
  return others->listeners + " | " + advice(*others, [](const HostPort& port) { return port_word(port); });
}

}  // namespace

TEST_CASE("a listener is reached at its own address and at every address if it is bound to none") {
  const auto named = HostPort::parse("127.0.0.2:80");
  const auto plain = HostPort::parse("80");
  for (const auto origin : {Origin::bridge, Origin::host}) {
    CHECK(is_reached(named, on("127.0.0.2", 80), origin));
    CHECK(is_reached(named, on("0.0.0.0", 80), origin));
    CHECK(is_reached(named, on("::", 80), origin));
    CHECK_FALSE(is_reached(named, on("127.0.0.1", 80), origin));
    CHECK_FALSE(is_reached(named, on("::1", 80), origin));
    CHECK_FALSE(is_reached(plain, on("127.0.0.2", 80), origin));
  }
}

TEST_CASE("[::1] and a socket bound to device lo are reached from this host alone") {
  CHECK(is_reached(HostPort::parse("80"), on("::1", 80), Origin::host));
  CHECK_FALSE(is_reached(HostPort::parse("80"), on("::1", 80), Origin::bridge));
  CHECK(is_reached(HostPort::parse("[::1]:80"), on("::1", 80), Origin::host));
  CHECK_FALSE(is_reached(HostPort::parse("[::1]:80"), on("127.0.0.1", 80), Origin::host));
  CHECK_FALSE(is_reached(HostPort::parse("80/udp"), on("::1", 80), Origin::host));
  const auto resolver = HostPort::parse("127.0.0.53:53");
  CHECK(is_reached(resolver, on("127.0.0.53", 53, kLo), Origin::host));
  CHECK_FALSE(is_reached(resolver, on("127.0.0.53", 53, kLo), Origin::bridge));
  CHECK_FALSE(is_reached(resolver, on("127.0.0.53", 53, 7), Origin::host));
}

TEST_CASE("what listens elsewhere is named with what to type") {
  CHECK(told("53", {}) == "none");
  CHECK(told("53:5353", {on("127.0.0.54", 53), on("127.0.0.53", 53)}) ==
        "127.0.0.53:53 and 127.0.0.54:53 | to expose 127.0.0.53:53: 127.0.0.53:53:5353");
  CHECK(told("53", {on("127.0.0.53", 53, kLo)}) ==
        "127.0.0.53%lo:53 | to expose 127.0.0.53:53: 127.0.0.53:53");
  CHECK(told("53", {on("127.0.0.53", 53, kLo)}, Origin::bridge) == "127.0.0.53%lo:53 | ");
  CHECK(told("53/udp", {on("127.0.0.53", 53, kLo)}) == "127.0.0.53%lo:53 | ");
  CHECK(told("127.0.0.2:80", {on("127.0.0.1", 80)}) == "127.0.0.1:80 | to expose 127.0.0.1:80: 80");
  CHECK(told("127.0.0.2:80", {on("::1", 80)}) == "[::1]:80 | to expose [::1]:80: '[::1]:80'");
  CHECK(told("127.0.0.2:80", {on("::1", 80)}, Origin::bridge) == "[::1]:80 | ");
  CHECK(told("80", {on("192.168.1.5", 80)}) ==
        "192.168.1.5:80 | containers dial 192.168.1.5:80 themselves, without an exposure");
  CHECK(told("80", {on("192.168.1.5", 80), on("127.0.0.2", 80)}) ==
        "127.0.0.2:80 and 192.168.1.5:80 | to expose 127.0.0.2:80: 127.0.0.2:80");
  CHECK(told("80", {on("fe80::1", 80)}) == "[fe80::1]:80 | ");
  CHECK(told("80", {on("127.0.0.2", 80), on("127.0.0.3", 80), on("127.0.0.4", 80), on("127.0.0.5", 80)})
            .starts_with("127.0.0.2:80, 127.0.0.3:80, 127.0.0.4:80 and 1 more | "));
}

TEST_CASE("a request as a command line") {
  const std::vector ports{HostPort::same(80), HostPort::parse("[::1]:81:82"), HostPort::parse("53/udp")};
  CHECK(expose_command(ports, Target::network("my web")) ==
        "tc-hostnet expose 80 '[::1]:81:82' 53/udp --network 'my web'");
  CHECK(expose_command({ports[0]}, Target::bridge("br0")) == "tc-hostnet expose 80 --bridge br0");
  CHECK(expose_command({ports[0]}, Target::netns("/run/netns/a")) ==
        "tc-hostnet expose 80 --netns /run/netns/a");
}

TEST_CASE("where a service was found") {
  const auto at = [](const char* port, const std::vector<netlink::Listener>& found,
                     Origin origin = Origin::host) { return found_at(HostPort::parse(port), found, origin); };
  CHECK(at("80", {}).empty());
  CHECK(at("80", {on("::1", 80)}) == "::1");
  CHECK(at("80", {on("::1", 80)}, Origin::bridge).empty());
  CHECK(at("80", {on("::1", 80), on("127.0.0.1", 80)}) == "127.0.0.1");  // dialled first
  CHECK(at("80", {on("::", 80)}) == "127.0.0.1");
  CHECK(at("80", {on("127.0.0.2", 80)}).empty());
  CHECK(at("127.0.0.2:80", {on("127.0.0.2", 80)}, Origin::bridge) == "127.0.0.2");
  CHECK(at("[::1]:80", {on("127.0.0.1", 80), on("::1", 80)}) == "::1");
  CHECK(at("/run/db.sock:80", {on("127.0.0.1", 80)}).empty());
}
