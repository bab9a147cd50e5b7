// Ports that a container uses itself: without a container.
#include "lease/owner.hpp"
#include "path/relay/target.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace hostnet::exposer;

TEST_CASE("listening ports are read from proc(5)'s text, whatever else is in it") {
  CHECK(relay::listening_ports("").empty());
  CHECK(relay::listening_ports("  sl  local_address rem_address   st tx_queue rx_queue\n"
                               "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000\n"
                               "   1: 0100007F:1F91 0100007F:C350 01 00000000:00000000 00:00000000 00000000\n"
                               "  10: 00000000000000000000000000000000:0050 "
                               "00000000000000000000000000000000:0000 0A 00000000:00000000\n") ==
        std::vector<std::uint16_t>{8080, 80});
  for (const auto* const odd :
       {"a", "a b c d", ": : : 0A", "0: 00:FFFFF 0 0A", "0: 00:zz 0 0A", "0: 00 0 0A"})
    CHECK(relay::listening_ports(odd).size() <= 1);
}

TEST_CASE("a port that the container listens on or announces clashes") {
  engine::Container container;
  container.name = "api";
  container.exposed_ports = {80};
  CHECK(port_clash(container, {8080}, HostPort::same(9090), false).empty());
  CHECK(port_clash(container, {8080}, HostPort::same(8080), false) == "port 8080 is in use in container api");
  CHECK(port_clash(container, {8080}, HostPort::same(8080), true) == "port 8080 is in use in container api");
  CHECK(port_clash(container, {}, HostPort::same(80), false).find("(EXPOSE)") != std::string::npos);
  CHECK(port_clash(container, {}, HostPort::same(80), true).empty());
  CHECK(port_clash(container, {}, HostPort::parse("80/udp"), false).empty());
}

TEST_CASE("a port of another live lease for the same container is a conflict that names it") {
  const test::TempDir folder;
  const state::TunnelStore store(folder.path() / "state");
  const auto owner = [&] {
    const auto locked = store.lock();
    return state::Owner(store.folder());
  }();
  state::TunnelRecord record{.via = "relay", .id = "0a", .target = "container api"};
  record.engine = "/run/docker.sock";
  record.container = "c1";
  record.ports = {HostPort::parse("80:8080")};
  record.owner = owner.id();
  store.save(record);
  engine::Container container;
  container.id = "c1";
  container.name = "api";
  const auto check = [&](const char* port, const std::string& engine = "/run/docker.sock",
                         const std::string& ignored = {}) {
    check_ports_are_unheld(store, container, engine, {HostPort::parse(port)}, ignored);
  };
  const auto error = test::error_of([&] { check("90:8080"); });
  CHECK(error.code() == Errc::conflict);
  CHECK(std::string_view(error.what()) == "port 8080 of container api is lease 0a's");
  check("80:8081");
  check("90:8080", "/run/podman.sock");
  check("90:8080", "/run/docker.sock", "0a");
  container.id = "c2";
  check("90:8080");
}
