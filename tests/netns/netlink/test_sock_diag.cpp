// Listeners and the end of connections, on real sockets.
#include "netlink/sock_diag.hpp"
#include "support/expect_error.hpp"
#include "support/netns.hpp"
#include "support/sockets.hpp"
#include "support/unprivileged.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <string_view>

using namespace hostnet;
using namespace hostnet::netlink;
using test::ip;
using test::NetNs;

namespace {

const Ipv4 loopback = *Ipv4::parse("127.0.0.1");

in6_addr mapped(Ipv4 address) {
  in6_addr result{};
  result.s6_addr[10] = result.s6_addr[11] = 0xff;
  const auto network = address.network();
  std::memcpy(&result.s6_addr[12], &network, sizeof network);
  return result;
}

std::vector<std::string> shown(std::uint16_t port, Protocol protocol = Protocol::tcp) {
  std::vector<std::string> result;
  for (const auto& listener : listeners(port, protocol)) result.push_back(listener.to_string());
  std::sort(result.begin(), result.end());
  return result;
}

// errno of the next read; 0 at end of file or with data to read.
int read_errno(const Fd& fd) {
  char byte = 0;
  return ::recv(fd.get(), &byte, 1, 0) < 0 ? errno : 0;
}

struct Connection {
  Fd listener, client, server;
  Endpoint client_end, server_end;
};

Connection connection_to(Fd listener, std::uint16_t port) {
  Connection made{.listener = std::move(listener), .server_end = {loopback, port}};
  made.client = test::connect_to(made.server_end);
  made.client_end = test::local_end(made.client);
  made.server = test::accept_from(made.listener);
  return made;
}

void check_reset(const Connection& connection) {
  CHECK(destroy_tcp(connection.server_end, connection.client_end));
  CHECK(read_errno(connection.server) == ECONNABORTED);
  CHECK(read_errno(connection.client) == ECONNRESET);
  CHECK_FALSE(destroy_tcp(connection.server_end, connection.client_end));
}

}  // namespace

TEST_CASE("listeners on every kind of address") {
  const NetNs host;
  host.run([] {
    CHECK(listeners(4001).empty());
    const auto any = test::listen_on({ip("0.0.0.0"), 4001});
    const auto local = test::listen_on({loopback, 4002});
    const auto dual = test::listen_on(in6addr_any, 4003, false);
    const auto only_v6 = test::listen_on(in6addr_any, 4004, true);
    const auto v6_loopback = test::listen_on(in6addr_loopback, 4005, false);
    const auto as_mapped = test::listen_on(mapped(loopback), 4006, false);
    const auto serves = [](std::uint16_t port) {
      const auto found = listeners(port);
      REQUIRE(found.size() == 1);
      CHECK(found[0].port == port);
      CHECK(found[0].uid == 0);
      CHECK(found[0].inode != 0);
      return found[0].serves(loopback);
    };
    CHECK(serves(4001));
    CHECK(serves(4002));
    CHECK(serves(4003));
    CHECK_FALSE(serves(4004));
    CHECK_FALSE(serves(4005));
    CHECK(serves(4006));
    CHECK_FALSE(listeners(4002)[0].serves(ip("127.0.0.2")));
    for (const std::uint16_t port : std::initializer_list<std::uint16_t>{4003, 4004, 4005})
      CHECK(listeners(port)[0].serves_ipv6_loopback());
    for (const std::uint16_t port : std::initializer_list<std::uint16_t>{4001, 4002, 4006})
      CHECK_FALSE(listeners(port)[0].serves_ipv6_loopback());
    CHECK(listeners(4004)[0].v6only);
    CHECK_FALSE(listeners(4003)[0].v6only);
    CHECK(shown(4001) == std::vector<std::string>{"0.0.0.0:4001"});
    CHECK(shown(4005) == std::vector<std::string>{"[::1]:4005"});
    CHECK(all_listeners().size() == 6);
    CHECK(listeners(0).empty());
    CHECK(listeners(4001, Protocol::udp).empty());
  });
}

TEST_CASE("the device that a listener is bound to") {
  const NetNs host;
  host.run([] {
    const auto resolver = test::listen_on({ip("127.0.0.53"), 4001});
    REQUIRE(::setsockopt(resolver.get(), SOL_SOCKET, SO_BINDTODEVICE, "lo", 2) == 0);
    const auto names = test::listen_on({ip("127.0.0.53"), 4001}, SOCK_DGRAM);
    for (const auto protocol : {Protocol::tcp, Protocol::udp}) {
      const auto found = listeners(4001, protocol);
      REQUIRE(found.size() == 1);
      CHECK(found[0].device == (protocol == Protocol::tcp ? kLoopbackDevice : 0));
      CHECK(found[0].serves(ip("127.0.0.53")));
    }
    CHECK(shown(4001) == std::vector<std::string>{"127.0.0.53%lo:4001"});
  });
}

TEST_CASE("several listeners on one port are all listed, connections to it are not") {
  const NetNs host;
  host.run([] {
    const auto v6 = test::listen_on(in6addr_loopback, 4001, false);
    const auto connection = connection_to(test::listen_on({loopback, 4001}), 4001);
    CHECK(shown(4001) == std::vector<std::string>{"127.0.0.1:4001", "[::1]:4001"});
  });
}

TEST_CASE("UDP sockets count if they are bound and not connected") {
  const NetNs host;
  host.run([] {
    const auto bound = test::listen_on({loopback, 4001}, SOCK_DGRAM);
    const auto connected = test::connect_to({loopback, 4001}, SOCK_DGRAM);
    CHECK(shown(4001, Protocol::udp) == std::vector<std::string>{"127.0.0.1:4001"});
    CHECK(all_listeners(Protocol::udp).size() == 1);
    CHECK(all_listeners(Protocol::tcp).empty());
  });
}

TEST_CASE("a listener's uid is its owner's") {
  const NetNs host;
  host.run([] {
    const auto foreign = test::run_unprivileged([] { return test::listen_on({loopback, 4001}); });
    const auto found = listeners(4001);
    REQUIRE(found.size() == 1);
    CHECK(found[0].uid == 65534);
  });
}

TEST_CASE("one dump lists hundreds of listeners") {
  const NetNs host;
  host.run([] {
    std::vector<Fd> held;
    for (std::uint16_t port = 5000; port < 5900; ++port) held.push_back(test::listen_on({loopback, port}));
    const auto found = all_listeners();
    CHECK(found.size() == held.size());
    CHECK(listeners(5432).size() == 1);
  });
}

TEST_CASE("a connection is reset at both ends") {
  const NetNs host;
  host.run([] { check_reset(connection_to(test::listen_on({loopback, 4001}), 4001)); });
}

TEST_CASE("a connection to a dual-stack listener is reset, though its socket is an IPv6 one") {
  const NetNs host;
  host.run([] { check_reset(connection_to(test::listen_on(in6addr_any, 4001, false), 4001)); });
}

TEST_CASE("only the named connection is reset, and the listener lives on") {
  const NetNs host;
  host.run([] {
    const auto one = connection_to(test::listen_on({loopback, 4001}), 4001);
    const auto other_client = test::connect_to({loopback, 4001});
    const auto other_server = test::accept_from(one.listener);
    CHECK(destroy_tcp(one.server_end, one.client_end));
    REQUIRE(::send(other_server.get(), "x", 1, 0) == 1);
    CHECK(read_errno(other_client) == 0);
    CHECK(listeners(4001).size() == 1);
    CHECK_NOTHROW(test::connect_to({loopback, 4001}));
  });
}

TEST_CASE("a connection that is gone does not take the listener with it") {
  const NetNs host;
  host.run([] {
    for (const bool dual : {false, true}) {
      const std::uint16_t port = dual ? 4002 : 4001;
      const auto listener =
          dual ? test::listen_on(in6addr_any, port, false) : test::listen_on({loopback, port});
      CHECK_FALSE(destroy_tcp({loopback, port}, {loopback, 40000}));
      CHECK_FALSE(destroy_tcp({loopback, port}, {ip("198.18.5.2"), 40000}));
      CHECK_FALSE(destroy_tcp({loopback, port}, {ip("0.0.0.0"), 0}));
      CHECK(listeners(port).size() == 1);
      CHECK_NOTHROW(test::connect_to({loopback, port}));
    }
    CHECK_FALSE(destroy_tcp({loopback, 4999}, {loopback, 40000}));
  });
}

TEST_CASE("a connection in TIME_WAIT is gone") {
  const NetNs host;
  host.run([] {
    auto connection = connection_to(test::listen_on({loopback, 4001}), 4001);
    connection.server.reset();  // the first to close is the one that waits
    CHECK(read_errno(connection.client) == 0);
    connection.client.reset();
    REQUIRE(test::exec("ss -Htn state time-wait").find(":4001") != std::string::npos);
    CHECK_FALSE(destroy_tcp(connection.server_end, connection.client_end));
  });
}

TEST_CASE("without privilege, listeners are listed and connections cannot be reset") {
  const NetNs host;
  host.run([] {
    const auto connection = connection_to(test::listen_on({loopback, 4001}), 4001);
    test::run_unprivileged([&] {
      CHECK(listeners(4001).size() == 1);
      const auto error = test::error_of([&] { destroy_tcp(connection.server_end, connection.client_end); });
      CHECK(error.code() == Errc::not_authorised);
      CHECK(error.what() == fmt::format("reset the connection {} – {}: Operation not permitted",
                                        connection.server_end.to_string(),
                                        connection.client_end.to_string()));
    });
    REQUIRE(::send(connection.server.get(), "x", 1, 0) == 1);
    CHECK(read_errno(connection.client) == 0);
  });
}

TEST_CASE("the other end of a Unix connection, once it has been accepted") {
  sockaddr_un where{};
  where.sun_family = AF_UNIX;
  constexpr std::string_view name{"\0hostnet-test", 13};  // abstract: of this network namespace
  name.copy(where.sun_path, name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  const Fd listener(::socket(AF_UNIX, SOCK_STREAM, 0));
  const Fd client(::socket(AF_UNIX, SOCK_STREAM, 0));
  REQUIRE(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&where), size) == 0);
  REQUIRE(::listen(listener.get(), 1) == 0);
  REQUIRE(::connect(client.get(), reinterpret_cast<const sockaddr*>(&where), size) == 0);
  const auto inode = [](const Fd& fd) {
    struct stat status {};
    REQUIRE(::fstat(fd.get(), &status) == 0);
    return static_cast<std::uint32_t>(status.st_ino);
  };
  CHECK(unix_peer(inode(client)) == 0);
  const Fd accepted(::accept(listener.get(), nullptr, nullptr));
  REQUIRE(accepted);
  CHECK(unix_peer(inode(client)) == inode(accepted));
  CHECK(unix_peer(inode(listener)) == 0);
  CHECK(unix_peer(1) == 0);
  CHECK(test::run_unprivileged([&] { return unix_peer(inode(client)); }) == inode(accepted));
}
