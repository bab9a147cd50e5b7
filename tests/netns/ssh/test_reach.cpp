// What a container reaches through the tunnel.
#include "ssh/sidecar.hpp"
#include "support/service.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace test;

TEST_CASE("ports of the list are reached, under the numbers that the container was promised") {
  Sidecar sidecar(ports({{7001, 7001}, {15432, 5432}}));
  const Service one(loopback(7001), "one"), other(loopback(5432), "other");
  const ssh::Tunnel tunnel(sidecar.settings(), soon());
  CHECK(dial(sidecar.container, sidecar.at(7001)) == "one");
  CHECK(dial(sidecar.container, sidecar.at(15432)) == "other");
  CHECK(dial(sidecar.container, sidecar.at(5432)) == "(refused)");
  const auto stats = tunnel.stats();
  CHECK(stats.state == ssh::TunnelState::up);
  CHECK(stats.sessions == 2);
  CHECK(stats.accepted == 2);
  MESSAGE("cipher ", stats.cipher, ", handshake ", tunnel.times().handshake.count(), " us, login ",
          tunnel.times().login.count(), " us, forwards ", tunnel.times().forwards.count(), " us");
}
