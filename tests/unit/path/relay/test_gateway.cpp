// Sockets at a network's gateway: which, and why not.
#include "lease/owner.hpp"
#include "path/relay/container_net.hpp"
#include "path/relay/gateway.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"

#include <doctest/doctest.h>

#include <cerrno>

using namespace hostnet;
using namespace hostnet::exposer;
using relay::GatewaySocket;
using relay::Step;

namespace {

const Ipv4 kGateway{198U << 24 | 19U << 16 | 1};
const Ipv4 kDefault{198U << 24 | 18U << 16 | 1};

}  // namespace

TEST_CASE(
    "a lease has a socket a port at the gateway, and at host-gateway's address where a container dials "
    "that") {
  GatewayTarget target{.network = "web", .bridge = "br-web", .gateway = kGateway};
  CHECK(relay::gateway_sockets(target, 2) == std::vector<GatewaySocket>{{kGateway, 0}, {kGateway, 1}});
  target.by_host_gateway = true;  // of an engine whose host-gateway is this network's own
  CHECK(relay::gateway_sockets(target, 1).size() == 1);
  target.host_gateway = kDefault;
  CHECK(relay::gateway_sockets(target, 2) ==
        std::vector<GatewaySocket>{{kGateway, 0}, {kGateway, 1}, {kDefault, 0}, {kDefault, 1}});
  target.by_host_gateway = false;
  CHECK(relay::gateway_sockets(target, 1).size() == 1);
  CHECK(relay::gateway_sockets(target, 0).empty());
}

TEST_CASE("a line of the container's own for host-gateway is known in both its forms") {
  engine::Container container;
  CHECK(!has_line_for(container, kDefault));
  for (const auto* const line :
       {"host.testcontainers.internal:host-gateway", "host.testcontainers.internal:198.18.0.1"}) {
    container.extra_hosts = {"db:10.0.0.1", line};
    CHECK(has_line_for(container, kDefault));
  }
  for (const auto* const line :
       {"host.docker.internal:host-gateway", "host.testcontainers.internal:198.18.0.10",
        "host.testcontainers.internal:10.0.0.1"}) {
    container.extra_hosts = {line};
    CHECK(!has_line_for(container, kDefault));
  }
}

TEST_CASE("a socket that cannot be made names what has the port, or what to do") {
  const auto port = HostPort::parse("5432:80");
  const auto said = [&](Step step, int error, const std::string& holder = {}) {
    return relay::cannot_listen_at("br-web", kGateway, port, {step, error}, holder);
  };
  auto error = said(Step::listen, EADDRINUSE, "a service of uid 33 listens on 0.0.0.0:80");
  CHECK(error.code() == Errc::conflict);
  CHECK(std::string_view(error.what()) ==
        "5432:80/tcp: a service of uid 33 listens on 0.0.0.0:80, which containers reach as 198.19.0.1:80");
  error = said(Step::bind, EACCES);
  CHECK(error.code() == Errc::no_path);  // the ssh path can serve it
  CHECK(error.hint().find("such as 5432:8080/tcp") != std::string::npos);
  error = said(Step::device, EPERM);
  CHECK(error.code() == Errc::no_path);
  CHECK(std::string_view(error.what()).find("before 5.7") != std::string_view::npos);
  for (const auto gone : {EADDRNOTAVAIL, ENODEV}) {
    error = said(Step::device, gone);
    CHECK(error.code() == Errc::no_path);
    CHECK(std::string_view(error.what()) == "198.19.0.1 is not an address of bridge br-web any more");
  }
  error = said(Step::make, EMFILE);
  CHECK(error.code() == Errc::failure);
  CHECK(error.sys_errno() == EMFILE);
}

TEST_CASE("a rootless engine's network namespace is found by the parent of a container") {
  CHECK(relay::parent_in("Name:\tsleep\nPid:\t12\nPPid:\t77\nTracerPid:\t0\n") == 77);
  CHECK(relay::parent_in("") == 0);
  CHECK(relay::parent_in("PPid:\tx\n") == 0);
  CHECK(relay::rootless_netns_in("") == "");
  CHECK(relay::rootless_netns_in(
            "36 35 98:0 / /run rw - tmpfs tmpfs rw\n"
            "40 36 0:4 net:[4026531] /run/user/1000/netns/netns-0a rw - nsfs nsfs rw\n"
            "41 36 0:5 / /run/user/1000/netns/rootless-netns-decoy rw - tmpfs tmpfs rw\n"
            "42 36 0:4 net:[4026532] /run/user/1000/netns/rootless-netns-7f rw - nsfs nsfs rw\n") ==
        "/run/user/1000/netns/rootless-netns-7f");
  CHECK(relay::rootless_netns_in(
            "42 36 0:4 net:[4026532] "
            "/run/user/1000/containers/networks/rootless-netns/rootless-netns rw - nsfs nsfs rw\n") ==
        "/run/user/1000/containers/networks/rootless-netns/rootless-netns");
}

TEST_CASE("a port of another live lease at the same gateway is a conflict that names it") {
  const test::TempDir folder;
  const state::TunnelStore store(folder.path() / "state");
  const auto owner = [&] {
    const auto locked = store.lock();
    return state::Owner(store.folder());
  }();
  state::TunnelRecord record{.via = "relay", .id = "0a", .target = "network web"};
  record.bridge = "br-web";
  record.address = "198.19.0.1";
  record.ports = {HostPort::parse("80:8080")};
  record.owner = owner.id();
  store.save(record);
  CHECK(store.load().front() == record);
  GatewayTarget target{.network = "web", .bridge = "br-web", .gateway = kGateway};
  const auto error =
      test::error_of([&] { check_gateway_is_unheld(store, target, {HostPort::parse("90:8080")}); });
  CHECK(error.code() == Errc::conflict);
  CHECK(std::string_view(error.what()) == "port 8080 of network web is lease 0a's");
  check_gateway_is_unheld(store, target, {HostPort::parse("80:8081")});
  check_gateway_is_unheld(store, target, {HostPort::parse("90:8080/udp")});
  check_gateway_is_unheld(store, target, {HostPort::parse("90:8080")}, "0a");
  target.bridge = "br-other";
  check_gateway_is_unheld(store, target, {HostPort::parse("90:8080")});
}

TEST_CASE("a bridge of the same name and address in another engine's network namespace is another gateway") {
  const test::TempDir folder;
  const state::TunnelStore store(folder.path() / "state");
  const auto owner = [&] {
    const auto locked = store.lock();
    return state::Owner(store.folder());
  }();
  state::TunnelRecord record{.via = "relay", .id = "0a", .target = "network bridge"};
  record.bridge = "docker0";
  record.bridge_netns = relay::own_netns_inode();
  record.address = "198.19.0.1";
  record.ports = {HostPort::parse("80:8080")};
  record.owner = owner.id();
  store.save(record);
  CHECK(store.load().front() == record);
  const auto is_free = [&](std::uint64_t netns) {
    const GatewayTarget target{.network = "bridge", .bridge = "docker0", .gateway = kGateway, .netns = netns};
    try {
      check_gateway_is_unheld(store, target, record.ports);
      return true;
    } catch (const Error& error) {
      CHECK(error.code() == Errc::conflict);
      return false;
    }
  };
  CHECK(!is_free(record.bridge_netns));
  CHECK(is_free(record.bridge_netns + 1));
  CHECK(!is_free(0));
}
