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
