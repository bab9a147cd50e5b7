// Which ways lead to a sidecar, by what is known of this program's place and the engine's.
#include "path/sidecar/candidates.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace hostnet;
using namespace hostnet::exposer;

namespace {

using Texts = std::vector<std::string>;

const engine::Network kWeb{.id = "web-id", .name = "web", .driver = "bridge"};

engine::Endpoint end_of(const std::string& network, const char* address) {
  engine::Endpoint out;
  out.network = network;
  out.network_id = network + "-id";
  out.address = Ipv4::parse(address);
  return out;
}

engine::Address engine_at(const char* text) { return engine::Address::recorded(text, "a test"); }

engine::OwnContainer own_on(std::vector<engine::Endpoint> endpoints, bool host_network = false) {
  return {.id = "me", .name = "me", .host_network = host_network, .endpoints = std::move(endpoints)};
}

engine::Container sidecar_on(std::vector<engine::Endpoint> endpoints, std::uint16_t published = 0) {
  engine::Container out;
  out.endpoints = std::move(endpoints);
  if (published != 0) out.ports = {{.container = 22, .protocol = "tcp", .host_ip = "", .host = published}};
  return out;
}

Texts texts(const Surroundings& known, const engine::Container& sidecar,
            const char* engine = "/run/docker.sock", std::optional<Ipv4> at = std::nullopt,
            const engine::Network& network = kWeb) {
  Texts out;
  for (const auto& one : dial_candidates(known, engine_at(engine), at, network, sidecar)) {
    auto text = std::string(one.kind());
    if (!one.at().empty()) text += " " + one.at();
    out.push_back(std::move(text));
  }
  return out;
}

const auto kOnWeb = end_of("web", "172.18.0.3");
const auto kOnOther = end_of("other", "172.19.0.3");

}  // namespace

TEST_CASE("on the engine's machine its address, where that is proved; else its published port") {
  CHECK(texts({.direct = true}, sidecar_on({kOnWeb})) == Texts{"address 172.18.0.3:22", "exec"});
  CHECK(texts({}, sidecar_on({kOnWeb}, 49153)) == Texts{"published 127.0.0.1:49153", "exec"});
  // Of an internal network the engine publishes nothing.
  CHECK(texts({}, sidecar_on({kOnWeb})) == Texts{"exec"});
  auto both = kOnWeb;
  both.address6 = Ip::parse("fd00::3").value();
  CHECK(texts({.direct = true}, sidecar_on({both})) ==
        Texts{"address 172.18.0.3:22", "address [fd00::3]:22", "exec"});
}

TEST_CASE("for an engine on the network, where it answers from") {
  const auto sidecar = sidecar_on({kOnWeb}, 49153);
  const auto peer = Ipv4::parse("192.0.2.7");
  CHECK(texts({}, sidecar, "tcp://far.example:2376?tls=verified", peer) ==
        Texts{"published 192.0.2.7:49153", "exec"});
  CHECK(texts({}, sidecar, "tcp://127.0.0.1:2375?tls=none", peer) ==
        Texts{"published 127.0.0.1:49153", "exec"});
  CHECK(texts({}, sidecar, "tcp://far.example:2376?tls=verified") == Texts{"exec"});  // by IPv6
}

TEST_CASE("the user's own place for published ports") {
  const auto sidecar = sidecar_on({kOnWeb}, 49153);
  CHECK(texts({.host_override = "docker.example"}, sidecar) ==
        Texts{"published docker.example:49153", "exec"});
  CHECK(texts({.host_override = "fd00::7"}, sidecar, "tcp://192.0.2.7:2375?tls=none",
              Ipv4::parse("192.0.2.7")) == Texts{"published [fd00::7]:49153", "exec"});
}

TEST_CASE("in a container of the engine") {
  SUBCASE("on the sidecar's network") {
    CHECK(texts({.own = own_on({kOnWeb})}, sidecar_on({kOnWeb})) == Texts{"address 172.18.0.3:22", "exec"});
  }
  SUBCASE("on another one, which the sidecar has joined") {
    CHECK(texts({.own = own_on({kOnOther})}, sidecar_on({kOnOther, kOnWeb})) ==
          Texts{"network 172.19.0.3:22", "exec"});
  }
  SUBCASE("on another one, which it could not join") {
    CHECK(texts({.own = own_on({kOnOther})}, sidecar_on({kOnWeb})) == Texts{"exec"});
  }
  SUBCASE("with the network of the engine's host") {
    CHECK(texts({.on_host = true, .own = own_on({}, true)}, sidecar_on({kOnWeb}, 49153)) ==
          Texts{"address 172.18.0.3:22", "published 127.0.0.1:49153", "exec"});
  }
  SUBCASE("without a network") { CHECK(texts({.own = own_on({})}, sidecar_on({kOnWeb})) == Texts{"exec"}); }
  SUBCASE("Podman's default network, whose name differs") {
    const engine::Network listed{.id = "2f25", .name = "bridge", .driver = "bridge"};
    engine::Endpoint there;
    there.network = there.network_id = "podman";
    there.address = Ipv4::parse("10.88.0.4");
    CHECK(texts({.own = own_on({there})}, sidecar_on({there}), "/run/podman/podman.sock", std::nullopt,
                listed) == Texts{"address 10.88.0.4:22", "exec"});
  }
}

TEST_CASE("what a sidecar gets for the sake of being dialled") {
  const auto publish_on = [](const Surroundings& known, const char* engine,
                             const engine::Network& network = kWeb) {
    return provision(known, engine_at(engine), network).publish_on;
  };
  CHECK(publish_on({.direct = true}, "/run/docker.sock").empty());
  CHECK(publish_on({}, "/run/docker.sock") == "127.0.0.1");
  CHECK(publish_on({}, "tcp://127.0.0.1:2375?tls=none") == "127.0.0.1");
  CHECK(publish_on({}, "tcp://[::1]:2375?tls=none") == "127.0.0.1");
  CHECK(publish_on({}, "tcp://localhost:2376?tls=verified") == "127.0.0.1");
  CHECK(publish_on({}, "tcp://192.0.2.1:2376?tls=verified") == "0.0.0.0");
  CHECK(publish_on({}, "tcp://engine.example:2376?tls=verified") == "0.0.0.0");
  CHECK(publish_on({.host_override = "host.docker.internal"}, "/run/docker.sock") == "0.0.0.0");
  CHECK(publish_on({.host_override = "localhost"}, "/run/docker.sock") == "127.0.0.1");
  CHECK(publish_on({.direct = true, .host_override = "host.example"}, "/run/docker.sock").empty());
  auto internal = kWeb;
  internal.internal = true;
  CHECK(publish_on({}, "tcp://192.0.2.1:2376?tls=verified", internal).empty());

  // In a container of the engine.
  const auto join = [](const Surroundings& known) {
    return provision(known, engine_at("/run/docker.sock"), kWeb).join;
  };
  CHECK(join({.own = own_on({kOnOther})}));
  CHECK_FALSE(join({.own = own_on({kOnWeb, kOnOther})}));
  CHECK_FALSE(join({.own = own_on({}, true)}));
  CHECK_FALSE(join({.own = own_on({})}));
  CHECK_FALSE(join({}));
  CHECK(publish_on({.own = own_on({kOnOther})}, "/run/docker.sock").empty());
  CHECK(publish_on({.own = own_on({kOnOther})}, "tcp://192.0.2.1:2376?tls=verified").empty());
  CHECK(publish_on({.own = own_on({}, true)}, "/run/docker.sock") == "127.0.0.1");
  CHECK(publish_on({.own = own_on({kOnOther}), .host_override = "172.17.0.1"}, "/run/docker.sock") ==
        "0.0.0.0");
}
