// Port specifications: which are parsed, which are refused, and the messages.
#include "hostnet/error.hpp"
#include "hostnet/port.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

using hostnet::Errc;
using hostnet::Error;
using hostnet::HostPort;
using hostnet::Protocol;

TEST_CASE("a port alone is the same on both sides") {
  CHECK(HostPort::parse("8088") == HostPort{8088, 8088, Protocol::tcp});
  CHECK(HostPort::parse("1") == HostPort{1, 1, Protocol::tcp});
  CHECK(HostPort::parse("65535/udp") == HostPort{65535, 65535, Protocol::udp});
}

TEST_CASE("host and container port") {
  CHECK(HostPort::parse("5432:15432") == HostPort{5432, 15432, Protocol::tcp});
  CHECK(HostPort::parse("53:5353/udp") == HostPort{53, 5353, Protocol::udp});
}

TEST_CASE("every port survives printing and parsing") {
  for (unsigned host = 1; host <= 65535; ++host) {
    const HostPort port{static_cast<std::uint16_t>(host), static_cast<std::uint16_t>(65536 - host),
                        host % 2 == 0 ? Protocol::tcp : Protocol::udp};
    REQUIRE(HostPort::parse(port.to_string()) == port);
  }
}

TEST_CASE("every string of up to four characters is parsed exactly or refused as invalid") {
  // Exhaustive over an alphabet with one character of each kind that the grammar distinguishes.
  constexpr std::string_view alphabet = "019:/t -";
  const auto visit = [&](auto&& self, std::string& text) -> void {
    try {
      const auto port = HostPort::parse(text);
      CHECK((port.host != 0) == port.socket.empty());
      CHECK(port.container != 0);
      CHECK(HostPort::parse(port.to_string()) == port);
      if (port.socket.empty()) CHECK(text.find_first_not_of("019:") == std::string::npos);
    } catch (const Error& error) {
      CHECK(error.code() == Errc::invalid_argument);
      CHECK_FALSE(error.hint().empty());
    }
    if (text.size() == 4) return;
    for (const char c : alphabet) {
      text.push_back(c);
      self(self, text);
      text.pop_back();
    }
  };
  std::string text;
  visit(visit, text);
}

TEST_CASE("the message names the fault") {
  const auto message = [](std::string_view text) {
    try {
      HostPort::parse(text);
    } catch (const Error& error) {
      CHECK(error.code() == Errc::invalid_argument);
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  CHECK(message("0") == "port '0': a port must be greater than zero");
  CHECK(message("80:0") == "port '80:0': a port must be greater than zero");
  CHECK(message("65536") == "port '65536': 65536 is greater than 65535");
  CHECK(message("99999999999999999999999") ==
        "port '99999999999999999999999': '99999999999999999999999' is greater than 65535");
  CHECK(message("80:80:80") == "port '80:80:80': 3 numbers, but at most two are allowed");
  CHECK(message("") == "port '': '' is not a port number");
  CHECK(message("80:") == "port '80:': '' is not a port number");
  CHECK(message("http") == "port 'http': 'http' is not a port number");
  CHECK(message("-1") == "port '-1': '-1' is not a port number");
  CHECK(message("80/sctp") == "port '80/sctp': protocol 'sctp' is neither tcp nor udp");
  CHECK(message("8\n0") == "port '8\\x0a0': '8\\x0a0' is not a port number");
}

TEST_CASE("normalise sorts and removes duplicates") {
  const auto ports = hostnet::normalise({HostPort::same(90), HostPort::same(80), HostPort::same(90)});
  CHECK(ports == std::vector{HostPort::same(80), HostPort::same(90)});
  CHECK(hostnet::normalise({}).empty());
}

TEST_CASE("normalise refuses zero and a container port with two meanings") {
  CHECK_THROWS_WITH_AS(hostnet::normalise({HostPort{0, 80}}), "a port to expose must be greater than zero",
                       Error);
  try {
    hostnet::normalise({HostPort{81, 80}, HostPort{82, 80}});
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::conflict);
    CHECK(std::string(error.what()) == "container port 80 cannot lead to both 127.0.0.1:81 and 127.0.0.1:82");
  }
  CHECK(hostnet::normalise({HostPort{81, 80}, HostPort{82, 80, Protocol::udp}}).size() == 2);
}

TEST_CASE("a Unix socket and the port that leads to it") {
  const auto port = HostPort::parse("/run/db.sock:5432");
  CHECK(port == HostPort{0, 5432, Protocol::tcp, "/run/db.sock"});
  CHECK(port.to_string() == "/run/db.sock:5432/tcp");
  CHECK(HostPort::parse(port.to_string()) == port);
  CHECK(port.service() == "/run/db.sock");
  CHECK(HostPort::parse("/a:b:80").socket == "/a:b");
  CHECK(hostnet::normalise({port, HostPort::same(80), port}).size() == 2);
}

TEST_CASE("invalid Unix sockets") {
  for (const char* text : {"/run/db.sock", "/run/db.sock:", "/run/db.sock:0", "/run/db.sock:80/udp"})
    CHECK_THROWS_AS(HostPort::parse(text), Error);
  const auto refused = [](HostPort port) { CHECK_THROWS_AS(hostnet::normalise({port}), Error); };
  refused({0, 80, Protocol::tcp, "relative.sock"});
  refused({0, 80, Protocol::udp, "/run/db.sock"});
  refused({81, 80, Protocol::tcp, "/run/db.sock"});
  refused({0, 80, Protocol::tcp, "/run/a\nb"});
  refused({0, 80, Protocol::tcp, "/" + std::string(107, 'x')});
  CHECK(hostnet::normalise({HostPort{0, 80, Protocol::tcp, "/" + std::string(106, 'x')}}).size() == 1);
}

TEST_CASE("an address of the loopback before the port") {
  const auto port = HostPort::parse("127.0.0.53:53:5353/udp");
  CHECK(port == HostPort{53, 5353, Protocol::udp, {}, "127.0.0.53"});
  CHECK(port.to_string() == "127.0.0.53:53:5353/udp");
  CHECK(port.service() == "127.0.0.53:53");
  const auto six = HostPort::parse("[::1]:5173");
  CHECK(six == HostPort{5173, 5173, Protocol::tcp, {}, "::1"});
  CHECK(six.to_string() == "[::1]:5173/tcp");
  CHECK(six.service() == "[::1]:5173");
  CHECK(HostPort::parse("[0:0::1]:80:8080").to_string() == "[::1]:80:8080/tcp");
  CHECK(HostPort::parse("127.0.0.1:8088") == HostPort::same(8088));
  CHECK(HostPort::parse("127.0.0.1:5432:15432").to_string() == "5432:15432/tcp");
  for (const char* text : {"127.0.0.2:80", "127.255.255.254:80:81/udp", "127.0.0.0:1", "[::1]:1:65535"})
    CHECK(HostPort::parse(HostPort::parse(text).to_string()) == HostPort::parse(text));
}

namespace {

std::string refusal_of(std::string_view text) {
  try {
    HostPort::parse_range(text);
  } catch (const Error& error) {
    CHECK(error.code() == Errc::invalid_argument);
    CHECK_FALSE(error.hint().empty());
    return fmt::format("{} ({})", error.what(), error.hint());
  }
  return "accepted";
}

bool refuses(std::string_view text, std::string_view words) {
  const auto told = refusal_of(text);
  CAPTURE(told);
  return told.find(words) != std::string::npos;
}

}  // namespace

TEST_CASE("addresses that are not of the loopback are refused, with what to give instead") {
  CHECK(refuses("0.0.0.0:80", "a service on 0.0.0.0 is reached at 127.0.0.1, too (leave out the address"));
  CHECK(refuses("[::]:80", "a service on :: is reached at 127.0.0.1, too"));
  CHECK(refuses("192.168.1.5:80:8080", "192.168.1.5 is not an address of this host's loopback"));
  CHECK(refuses("192.168.1.5:80", "containers dial such an address themselves, without an exposure"));
  CHECK(refuses("[fe80::1]:80", "fe80::1 is not an address of this host's loopback"));
  CHECK(refuses("[fe80::1%eth0]:80", "'fe80::1%eth0' is not an IPv6 address of this host's loopback"));
  CHECK(refuses("[::ffff:127.0.0.1]:80", "is not an IPv6 address of this host's loopback"));
  CHECK(refuses("127.255.255.255:80", "broadcast"));
  CHECK(refuses("127.0.0.256:80", "'127.0.0.256' is not an IPv4 address of four numbers"));
  CHECK(refuses("127.1:80", "'127.1' is not an IPv4 address of four numbers"));
  CHECK(refuses("127.0.0.01:80", "is not an IPv4 address of four numbers"));
  CHECK(refuses("localhost:80", "'localhost' is not an address (give PORT for 127.0.0.1"));
  CHECK(refuses("::1:80", "an IPv6 address stands in brackets (give [::1]:PORT"));
  CHECK(refuses("[127.0.0.1]:80", "only an IPv6 address stands in brackets"));
  CHECK(refuses("[::1:80", "the bracket is not closed"));
  CHECK(refuses("[]:80", "'' is not"));
  for (const char* text : {"[::1]", "[::1]80", "127.0.0.53"})
    CHECK(refuses(text, "a port must follow the address"));
  CHECK(refuses("127.0.0.53:", "'' is not a port number"));
  CHECK(refuses("127.0.0.53:53:53:53", "3 numbers, but at most two are allowed"));
}

TEST_CASE("ranges give one port each") {
  CHECK(HostPort::parse_range("8088") == std::vector{HostPort::same(8088)});
  CHECK(HostPort::parse_range("8088-8090") ==
        std::vector{HostPort::same(8088), HostPort::same(8089), HostPort::same(8090)});
  CHECK(HostPort::parse_range("127.0.0.2:80-81:9080-9081/udp") ==
        std::vector{HostPort{80, 9080, Protocol::udp, {}, "127.0.0.2"},
                    HostPort{81, 9081, Protocol::udp, {}, "127.0.0.2"}});
  CHECK(HostPort::parse_range("[::1]:80-80") == std::vector{HostPort{80, 80, Protocol::tcp, {}, "::1"}});
  CHECK(HostPort::parse_range("65535-65535").size() == 1);
  CHECK(HostPort::parse_range("64512-65535").size() == HostPort::kMostInRange);
  CHECK(HostPort::parse_range("/run/a-b.sock:80").front().socket == "/run/a-b.sock");
}

TEST_CASE("ranges that are refused") {
  CHECK(refuses("8090-8088", "the range '8090-8088' ends before it begins"));
  CHECK(refuses("8088-8090:9088-9089", "3 host ports cannot lead from 2 container ports"));
  CHECK(refuses("8088-8090:9088", "3 host ports cannot lead from 1 container port ("));
  CHECK(refuses("8088:9088-9090", "1 host port cannot lead from 3 container ports"));
  CHECK(refuses("1-1025", "1025 ports are more than the 1024 of one range"));
  CHECK(refuses("1-65535", "65535 ports are more than the 1024 of one range"));
  CHECK(refuses("0-80", "a port must be greater than zero"));
  CHECK(refuses("80-65536", "65536 is greater than 65535"));
  for (const char* text : {"80-", "-80", "80--81", "80-81-82", "a-b", "80-81:"})
    CHECK(refuses(text, "number"));
  CHECK_THROWS_WITH_AS(HostPort::parse("80-81"), "port '80-81': only one port can be given here", Error);
}

TEST_CASE("normalise brings addresses into one form and refuses others") {
  CHECK(hostnet::normalise({{80, 80, Protocol::tcp, {}, "127.0.0.1"}, HostPort::same(80)}).size() == 1);
  CHECK(hostnet::normalise({{80, 80, Protocol::tcp, {}, "0::1"}}).front().address == "::1");
  for (const char* address : {"10.0.0.1", "localhost", "[::1]", "127.0.0.53:53", "::"})
    CHECK_THROWS_AS(hostnet::normalise({{80, 80, Protocol::tcp, {}, address}}), Error);
  CHECK_THROWS_AS(hostnet::normalise({{80, 80, Protocol::udp, {}, "::1"}}), Error);
  CHECK_THROWS_AS(hostnet::normalise({{0, 80, Protocol::tcp, "/run/a.sock", "127.0.0.2"}}), Error);
  CHECK_THROWS_WITH_AS(hostnet::normalise({HostPort::same(80), HostPort::parse("127.0.0.2:80")}),
                       "container port 80 cannot lead to both 127.0.0.1:80 and 127.0.0.2:80", Error);
}
