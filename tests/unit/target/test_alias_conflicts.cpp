// Which request for the alias is refused because another lease has it, on an engine that tells all that
// matters: its sidecars, their labels and times, and the networks of containers.
#include "support/expect_error.hpp"
#include "target/alias_holders.hpp"
#include "unit/engine/fake_engine.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

using namespace hostnet;
using namespace hostnet::exposer;

namespace {

std::string id_with(char digit) { return std::string(64, digit); }

const std::string kApp = id_with('a');
const std::string kWeb = id_with('b');  // a network
const std::string kBack = id_with('c');
const std::string kSidecar = id_with('d');
const std::string kOwnSidecar = id_with('e');

// An engine as it is asked here. Everything that is not added is unknown to it.
class AliasWorld {
 public:
  // A sidecar of a lease, in the list of containers and by itself. `label`: what it holds, and for whom.
  AliasWorld& sidecar(const std::string& lease, const std::string& label, const std::string& holds,
                      const std::string& ports = "8088/tcp", const std::string& id = kSidecar,
                      const std::string& state = "running",
                      const std::string& created = "2026-01-01T00:00:02Z") {
    if (!list_.empty()) list_ += ",";
    list_ += fmt::format(
        R"({{"Id":"{}","Names":["/s"],"Image":"i","State":"{}","Labels":{{"{}":"{}","{}":"{}","{}":"{}"}}}})",
        id, state, kLeaseLabel, lease, label, holds, kLeasePortsLabel, ports);
    if (!created.empty()) container(id, "s" + lease, {}, {}, created);
    return *this;
  }
  AliasWorld& container(const std::string& id, const std::string& name,
                        const std::vector<std::pair<std::string, std::string>>& networks,
                        const std::string& label = {}, const std::string& created = {}, bool running = true) {
    std::string endpoints;
    for (const auto& [network, network_id] : networks)
      endpoints += fmt::format(R"({}"{}":{{"NetworkID":"{}","IPAddress":"198.18.0.5"}})",
                               endpoints.empty() ? "" : ",", network, network_id);
    const auto body = fmt::format(
        R"({{"Id":"{}","Name":"/{}","Created":"{}","State":{{"Running":{},"Pid":7}},"Config":{{"Labels":{{{}}}}},
        "HostConfig":{{"NetworkMode":"x"}},"NetworkSettings":{{"Networks":{{{}}}}}}})",
        id, name, created, running, label.empty() ? "" : fmt::format(R"("{}":"x")", label), endpoints);
    for (const auto& path : {id, name}) bodies_.emplace_back("/v1.41/containers/" + path + "/json", body);
    return *this;
  }
  AliasWorld& network(const std::string& id, const std::string& name,
                      const std::vector<std::string>& containers) {
    std::string members;
    for (const auto& one : containers)
      members += fmt::format(R"({}"{}":{{"IPv4Address":"198.18.0.5/24"}})", members.empty() ? "" : ",", one);
    const auto body =
        fmt::format(R"({{"Id":"{}","Name":"{}","Driver":"bridge","Containers":{{{}}}}})", id, name, members);
    for (const auto& path : {id, name}) bodies_.emplace_back("/v1.41/networks/" + path, body);
    return *this;
  }

  // An overlay network of a swarm, on whose node 198.51.100.2 this engine is, with a container on each of
  // these nodes.
  AliasWorld& overlay(const std::string& name,
                      const std::vector<std::pair<std::string, std::string>>& containers) {
    std::string tasks;
    for (const auto& [container, node] : containers)
      tasks += fmt::format(R"({}{{"Name":"{}","EndpointIP":"10.0.1.8","Info":{{"Host IP":"{}"}}}})",
                           tasks.empty() ? "" : ",", container, node);
    const std::string id = "512k5bbqhxyxxvlct16fq08dp";
    const auto body = fmt::format(
        R"({{"Id":"{}","Name":"{}","Scope":"swarm","Driver":"overlay","Attachable":true,"Services":{{"":{{"Tasks":[{}]}}}}}})",
        id, name, tasks);
    for (const auto& path : {id, name}) bodies_.emplace_back("/v1.41/networks/" + path, body);
    bodies_.emplace_back("/v1.41/info", R"({"Swarm":{"LocalNodeState":"active","NodeAddr":"198.51.100.2"}})");
    return *this;
  }

  // "" if the request passes, else the error and its hint.
  std::string refusal(const Target& target, NameBy by = NameBy::gateway_in_file,
                      const std::string& own = {}) {
    auto bodies = bodies_;
    bodies.emplace_back("/v1.41/containers/json", "[" + list_ + "]");
    const test::FakeEngine engine(test::serve_paths(bodies, "Api-Version: 1.41\r\n"));
    engine::Client client({engine.socket(), "--engine"});
    try {
      check_alias_is_unheld(client, {.target = target, .ports = {HostPort::same(9090)}},
                            {.by = by, .own = own}, test::soon());
      return {};
    } catch (const Error& error) {
      CHECK(error.code() == Errc::conflict);
      return fmt::format("{}; {}", error.what(), error.hint());
    }
  }

 private:
  std::string list_;
  std::vector<std::pair<std::string, std::string>> bodies_;
};

AliasWorld with_app() {
  AliasWorld world;
  world.container(kApp, "app", {{"web", kWeb}, {"back", kBack}});
  world.network(kWeb, "web", {kApp}).network(kBack, "back", {kApp});
  return world;
}

const Target kToApp = Target::container("app");
const Target kToWeb = Target::network("web");
// No record or journal here has that lease: it is another user's.
const std::string kRelease = std::string(::geteuid() == 0 ? "" : "sudo ") + "tc-hostnet release 1a2b3c4d";

}  // namespace

TEST_CASE("a container whose name another lease has is refused, with the line that serves both") {
  CHECK(with_app().refusal(kToApp).empty());
  CHECK(with_app().sidecar("1a2b3c4d", kAliasContainerLabel, kApp).refusal(kToApp) ==
        "host port exposure host.testcontainers.internal already defined for container app by lease "
        "1a2b3c4d, which "
        "would lose its ports there; that lease is another user's; have one lease for both: " +
            kRelease + " && tc-hostnet expose 8088 9090 --container app");
  CHECK(with_app().sidecar("1a2b3c4d", kAliasLabel, kBack).refusal(kToApp) ==
        "host port exposure host.testcontainers.internal already defined on network back by lease 1a2b3c4d, "
        "which "
        "would lose its ports there; that lease is another user's; have one lease for both: " +
            kRelease + " && tc-hostnet expose 8088 9090 --network back");
  // Ports that its labels do not tell are in no line.
  CHECK(with_app()
            .sidecar("1a2b3c4d", kAliasLabel, kBack, "")
            .refusal(kToApp)
            .ends_with("release that lease first (" + kRelease +
                       "), then name its ports in this request, too"));
  CHECK(with_app().sidecar("1a2b3c4d", kAliasLabel, id_with('f')).refusal(kToApp).empty());
  CHECK(with_app().sidecar("1a2b3c4d", kAliasContainerLabel, id_with('f')).refusal(kToApp).empty());
}

TEST_CASE("Podman before 5 repeats the network's name instead of its id") {
  AliasWorld world;
  world.container(kApp, "app", {{"back", "back"}, {"web", "web"}});
  world.network(kWeb, "web", {kApp}).network(kBack, "back", {kApp});
  CHECK(world.sidecar("1a2b3c4d", kAliasLabel, kWeb).refusal(kToApp).find("already defined on network web") !=
        std::string::npos);
}

TEST_CASE("a lease on another node of a swarm has the name on an overlay network") {
  const auto said = [](const std::vector<std::pair<std::string, std::string>>& containers,
                       const std::string& own = {}) {
    return AliasWorld().overlay("open", containers).refusal(Target::network("open"), NameBy::dns, own);
  };
  CHECK(said({{"app", "198.51.100.1"}, {"tc-hostnet-1a2b3c4d", "198.51.100.1"}}) ==
        "host port exposure host.testcontainers.internal already defined on network open by lease 1a2b3c4d "
        "on the swarm's "
        "node 198.51.100.1; release it there (tc-hostnet release 1a2b3c4d), or have one lease with the ports "
        "of both");
  CHECK(said({}).empty());
  CHECK(said({{"app", "198.51.100.1"}, {"tc-hostnet-$(id)", "198.51.100.1"}}).empty());
  CHECK(said({{"tc-hostnet-1a2b3c4d", "198.51.100.2"}}).empty());  // labels tell of those here
  // Of two that are made at once, each may have looked before the other was there.
  CHECK_FALSE(said({{"tc-hostnet-1a2b3c4d", "198.51.100.1"}}, "00000000").empty());
  CHECK_FALSE(said({{"tc-hostnet-1a2b3c4d", "198.51.100.1"}}, "ffffffff").empty());
  CHECK(said({{"tc-hostnet-ffffffff", "198.51.100.2"}}, "ffffffff").empty());
}

TEST_CASE("what holds no name does not count") {
  const auto holds = [](const std::string& lease, const std::string& state) {
    return !with_app()
                .sidecar(lease, kAliasContainerLabel, kApp, "8088/tcp", kSidecar, state)
                .refusal(kToApp)
                .empty();
  };
  for (const char* const state : {"running", "created", "configured", "initialized"})
    CHECK(holds("1a2b3c4d", state));
  for (const char* const state : {"exited", "dead", "removing", ""}) CHECK_FALSE(holds("1a2b3c4d", state));
  CHECK_FALSE(holds("$(id)", "running"));  // a label of the user's own
  // Of targets that are no container and no network, and of requests without the name, nothing is asked.
  const test::FakeEngine silent([](const std::string&, int) { return false; });
  engine::Client client({silent.socket(), "--engine"});
  check_alias_is_unheld(client, {.target = Target::bridge("br0")}, {.by = NameBy::dns}, test::soon());
  check_alias_is_unheld(client, {.target = kToApp, .write_alias = false}, {.by = NameBy::dns}, test::soon());
  CHECK(silent.requests().empty());
  // An engine that does not list its containers is no reason to refuse; an answer that never comes is.
  const test::FakeEngine broken([](const std::string& line, int connection) {
    test::send_bytes(connection, line.find("/_ping") != std::string::npos
                                     ? test::http(200, "OK", "Api-Version: 1.41\r\n")
                                     : test::http(500, R"({"message":"container is being removed"})"));
    return true;
  });
  engine::Client of_broken({broken.socket(), "--engine"});
  CHECK_NOTHROW(check_alias_is_unheld(of_broken, {.target = kToApp}, {}, test::soon()));
}

TEST_CASE("of two leases made at once, the one whose sidecar is older stays") {
  const auto second_check = [](const std::string& others_time, const std::string& own_time) {
    return with_app()
        .sidecar("0d0d0d0d", kAliasContainerLabel, kApp, "9090/tcp", kOwnSidecar, "running", own_time)
        .sidecar("1a2b3c4d", kAliasContainerLabel, kApp, "8088/tcp", kSidecar, "running", others_time)
        .refusal(kToApp, NameBy::sidecar_in_file, "0d0d0d0d");
  };
  CHECK(second_check("2026-01-01T00:00:03Z", "2026-01-01T00:00:02Z").empty());
  CHECK_FALSE(second_check("2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z").empty());
  CHECK_FALSE(second_check("2026-01-01T01:00:01+01:00", "2026-01-01T00:00:02Z").empty());
  CHECK(second_check("2026-01-01T00:00:02Z", "2026-01-01T00:00:02Z").empty());  // then the smaller id
  // One that has gone since the list was made is no holder.
  CHECK(second_check("", "2026-01-01T00:00:02Z").empty());
  // Before its own sidecar is in the list, any other counts.
  CHECK_FALSE(with_app()
                  .sidecar("1a2b3c4d", kAliasContainerLabel, kApp)
                  .refusal(kToApp, NameBy::sidecar_in_file, "0d0d0d0d")
                  .empty());
}

TEST_CASE("a network is refused for a name on it, on another network of its containers, or for one of them") {
  CHECK(with_app().refusal(kToWeb).empty());
  CHECK(with_app()
            .sidecar("1a2b3c4d", kAliasLabel, kWeb)
            .refusal(kToWeb)
            .ends_with("have one lease for both: " + kRelease +
                       " && tc-hostnet expose 8088 9090 --network web"));
  const auto elsewhere = with_app().sidecar("1a2b3c4d", kAliasLabel, kBack).refusal(kToWeb);
  CHECK(elsewhere.find("already defined on network back of container app by lease 1a2b3c4d") !=
        std::string::npos);
  CHECK(elsewhere.ends_with("release that lease first: " + kRelease));  // no line serves both
  const auto for_app = [](NameBy by) {
    return with_app().sidecar("1a2b3c4d", kAliasContainerLabel, kApp).refusal(kToWeb, by);
  };
  CHECK(for_app(NameBy::gateway_in_file).empty());
  CHECK(for_app(NameBy::dns).find("already defined for container app by lease 1a2b3c4d") !=
        std::string::npos);
}

TEST_CASE("a network's containers that are gone, stopped or ours do not count") {
  const auto refused_for = [](bool running, const char* label) {
    AliasWorld world;
    world.container(kApp, "app", {{"web", kWeb}, {"back", kBack}}, label, {}, running);
    world.network(kWeb, "web", {id_with('9'), kApp});  // the first has gone
    return !world.sidecar("1a2b3c4d", kAliasLabel, kBack).refusal(kToWeb, NameBy::gateway_in_file).empty();
  };
  CHECK(refused_for(true, ""));
  CHECK_FALSE(refused_for(false, ""));
  CHECK_FALSE(refused_for(true, kLeaseLabel));
  CHECK_FALSE(refused_for(true, kOwnerLabel));
}
