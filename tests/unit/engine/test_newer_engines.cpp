// Answers of Docker 28 and 29 and of Podman 5 (data/README.md says where they are from), and an API that
// begins where older clients end.
#include "engine/api_version.hpp"
#include "engine/client.hpp"
#include "engine/containers.hpp"
#include "engine/events.hpp"
#include "engine/networks.hpp"
#include "engine/parse.hpp"
#include "hostnet/error.hpp"
#include "support/addresses.hpp"
#include "support/expect_error.hpp"
#include "unit/engine/environment.hpp"
#include "unit/engine/fake_engine.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

using namespace hostnet;
using namespace hostnet::engine;
using test::FakeEngine;
using test::fixture;
using test::ip;
using test::soon;

namespace {

// Answers in one version of the API, and refuses any other path as too old.
FakeEngine::Serve only_from(const std::string& newest, const std::string& least, const std::string& spoken) {
  return [=](const std::string& line, int connection) {
    const auto path = line.substr(4, line.find(' ', 4) - 4);
    const auto ping = test::http(200, "OK", "Api-Version: " + newest + "\r\n");
    const auto version =
        R"({"Version":"x","ApiVersion":")" + newest + R"(","MinAPIVersion":")" + least + "\"}";
    if (path == "/_ping" || path == "/v" + spoken + "/_ping")
      test::send_bytes(connection, ping);
    else if (path == "/version" || path == "/v" + spoken + "/version")
      test::send_bytes(connection, test::http(200, version));
    else
      test::send_bytes(connection, test::http(400, fixture("docker29-too-old.json")));
    return true;
  };
}

// What happened to one container.
std::vector<std::string> actions_of(const std::string& file, const std::string& container) {
  std::vector<std::string> actions;
  EventReader().feed(fixture(file), [&](const Event& event) {
    if (event.container == container) actions.push_back(event.action);
  });
  return actions;
}

}  // namespace

TEST_CASE("Docker 28, recorded") {
  const auto version = parse_version(fixture("docker28-version.json"));
  CHECK(version.version == "28.5.2+dfsg4");
  CHECK(version.api_version == "1.51");
  CHECK(least_api_version(fixture("docker28-version.json")) == "1.24");
  CHECK_FALSE(parse_is_rootless(fixture("docker28-info.json")));
  CHECK_FALSE(parse_swarm_node(fixture("docker28-info.json")).is_member);
  CHECK(parse_error_message(fixture("docker28-too-old.txt")).starts_with("client version 1.10 is too old."));

  const auto web = parse_network(fixture("docker28-network-web.json"));
  CHECK(web.bridge == "br-" + web.id.substr(0, 12));
  CHECK(web.gateway == ip("198.19.0.1"));
  CHECK(web.containers.size() == 1);
  CHECK(web.ipv4);
  CHECK_FALSE(parse_network(fixture("docker28-network-six.json")).ipv4);
  const auto all = parse_networks(fixture("docker28-networks.json"));
  CHECK(all.size() == 5);

  const auto app = parse_container(fixture("docker28-container.json"));
  CHECK(app.running);
  CHECK(app.hosts_path == "/var/lib/docker/containers/" + app.id + "/hosts");
  CHECK(app.extra_hosts == std::vector<std::string>{"x.example:1.2.3.4", "h:host-gateway"});
  CHECK(app.ports == std::vector<PublishedPort>{{80, "tcp", "127.0.0.1", 18080}});
  REQUIRE(app.endpoints.size() == 2);
  CHECK(app.endpoints[0].network == "bridge");
  CHECK(app.endpoints[0].priority == 10);
  CHECK(app.endpoints[1].network_id == web.id);
  CHECK(app.endpoints[1].address == ip("198.19.0.2"));
  const auto created = parse_container(fixture("docker28-container-created.json"));
  CHECK(created.state == "created");
  CHECK(created.endpoints.at(0).addresses().empty());
  // As they are written; connecting and disconnecting come from the network's side.
  const auto actions = actions_of("docker28-events.jsonl", app.id);
  CHECK(std::ranges::count(actions, "start") == 1);
  CHECK(std::ranges::count(actions, "connect") == 3);
  CHECK(std::ranges::count(actions, "disconnect") >= 1);
  CHECK(std::ranges::count(actions, "die") == 1);
}

TEST_CASE("Podman 5, recorded") {
  const auto version = parse_version(fixture("podman5-version.json"));
  CHECK(version.is_podman());
  CHECK(version.version == "5.8.6");
  CHECK(version.api_version == "1.44");
  CHECK_FALSE(parse_is_rootless(fixture("podman5-info.json")));
  CHECK_FALSE(parse_swarm_node(fixture("podman5-info.json")).is_member);
  CHECK(parse_error_cause(fixture("podman5-error.json")) == "network not found");

  auto web = parse_network(fixture("podman5-network-web.json"));
  CHECK(web.ipv4);  // though it says "EnableIPv4": false
  CHECK(web.gateway == ip("10.89.0.1"));
  CHECK(web.containers.size() == 1);
  CHECK(parse_networks(fixture("podman5-networks.json")).size() == 2);
  const auto bridges = parse_libpod_bridges(fixture("podman5-libpod-network.json"));
  CHECK(bridges == std::map<std::string, LibpodBridge>{{web.id, {.interface = "podman1", .dns = true}}});

  const auto app = parse_container(fixture("podman5-container.json"));
  CHECK(app.running);
  CHECK(app.network_mode == "bridge");
  CHECK(app.ports == std::vector<PublishedPort>{{80, "tcp", "127.0.0.1", 18080}});
  REQUIRE(app.endpoints.size() == 1);
  CHECK(app.endpoints[0].network == "web");
  CHECK(app.endpoints[0].network_id == web.id);  // Podman 4 has the name there
  CHECK(app.endpoints[0].address == ip("10.89.0.2"));
  const auto created = parse_container(fixture("podman5-container-created.json"));
  CHECK(created.state == "created");
  CHECK(created.endpoints.at(0).addresses().empty());
  const auto actions = actions_of("podman5-events.jsonl", app.id);
  CHECK(std::ranges::count(actions, "start") == 1);
  CHECK(std::ranges::count(actions, "disconnect") == 1);
  CHECK(std::ranges::count(actions, "connect") >= 1);
  CHECK(std::ranges::count(actions, "die") == 1);
}

TEST_CASE("Docker 29 is asked in a version that it has") {
  const test::Variable none("DOCKER_API_VERSION", nullptr);
  const auto calls_of = [](const char* newest, const char* least, const char* spoken) {
    const FakeEngine engine(only_from(newest, least, spoken));
    Client client({engine.socket(), "--engine"});
    CHECK(client.version(soon()).api_version == newest);
    auto calls = engine.requests();
    for (auto& call : calls) call = call.substr(4, call.find(' ', 4) - 4);
    return calls;
  };
  using Calls = std::vector<std::string>;
  CHECK(calls_of("1.52", "1.44", "1.52") == Calls{"/_ping", "/v1.52/version"});
  // Newer than what was reviewed, which it still has.
  CHECK(calls_of("1.56", "1.40", "1.54") == Calls{"/_ping", "/v1.54/_ping", "/v1.54/version"});
  // One that no longer has it.
  CHECK(calls_of("1.80", "1.70", "1.70") == Calls{"/_ping", "/v1.54/_ping", "/version", "/v1.70/version"});
}

TEST_CASE("a DOCKER_API_VERSION that Docker 29 no longer has") {
  const FakeEngine engine(only_from("1.52", "1.44", "1.44"));
  {
    const test::Variable old("DOCKER_API_VERSION", "1.41");
    Client client({engine.socket(), "--engine"});
    const auto error = test::error_of([&] { client.ping(soon()); });
    CHECK(error.code() == Errc::invalid_argument);
    CHECK(std::string(error.what()) == "DOCKER_API_VERSION is 1.41, but the engine has 1.44 at least");
    CHECK(error.hint() == "unset it");
  }
  const test::Variable its_own("DOCKER_API_VERSION", "1.44");
  CHECK(Client({engine.socket(), "--engine"}).version(soon()).api_version == "1.52");
}

TEST_CASE("what a proxy before the engine refuses decides nothing") {
  const test::Variable older("DOCKER_API_VERSION", "1.44");
  const FakeEngine engine([](const std::string& line, int connection) {
    const bool passes = line.starts_with("GET /_ping ") || line.starts_with("GET /v1.44/networks ");
    test::send_bytes(connection,
                     passes ? test::http(200, "[]", "Api-Version: 1.52\r\n") : test::http(403, "no"));
    return true;
  });
  CHECK(Client({engine.socket(), "--engine"}).networks(soon()).empty());
}

TEST_CASE("Docker 29: version, info and the refusal of an old client") {
  const auto version = parse_version(fixture("docker29-version.json"));
  CHECK(version.product == "Docker Engine - Community");
  CHECK(version.version == "29.1.3");
  CHECK(version.api_version == "1.52");
  CHECK(least_api_version(fixture("docker29-version.json")) == "1.44");
  CHECK(least_api_version(fixture("docker-version.json")) == "1.12");
  CHECK(parse_is_rootless(fixture("docker29-info.json")));
  CHECK_FALSE(parse_has_selinux(fixture("docker29-info.json")));
  CHECK_FALSE(parse_swarm_node(fixture("docker29-info.json")).is_member);
  CHECK(parse_error_message(fixture("docker29-too-old.json")).starts_with("client version 1.41 is too old."));
}

TEST_CASE("Docker 29: networks") {
  const auto web = parse_network(fixture("docker29-network-web.json"));
  CHECK(web.bridge == "br-" + web.id.substr(0, 12));
  CHECK(web.gateway == ip("172.18.0.1"));
  CHECK(web.containers.size() == 1);
  CHECK(web.ipv4);
  CHECK(web.dns);
  const auto six = parse_network(fixture("docker29-network-six.json"));
  CHECK_FALSE(six.ipv4);
  CHECK_FALSE(six.gateway);
  const auto all = parse_networks(fixture("docker29-networks.json"));
  REQUIRE(all.size() == 3);
  CHECK(all[1].bridge == "docker0");
  CHECK(all[2].driver == "null");
}

TEST_CASE("Docker 29: containers") {
  const auto app = parse_container(fixture("docker29-container.json"));
  CHECK(app.running);
  CHECK(app.pid == 6260);
  CHECK(app.hosts_path == "/var/lib/docker/containers/" + app.id + "/hosts");
  CHECK(app.exposed_ports == std::vector<std::uint16_t>{443, 80});
  CHECK(app.ports == std::vector<PublishedPort>{{80, "tcp", "0.0.0.0", 8080}, {80, "tcp", "::", 8080}});
  REQUIRE(app.endpoints.size() == 2);
  CHECK(app.endpoints[0].network == "six");
  CHECK(app.endpoints[0].priority == 10);
  CHECK(app.endpoints[0].address6 == Ip::parse("fd00:77::5"));
  CHECK(app.endpoints[1].address == ip("172.18.0.2"));
  CHECK(app.endpoints[1].gateway == ip("172.18.0.1"));
  CHECK(app.endpoints[1].mac == "a2:1f:4c:5d:6e:7f");
  CHECK(app.endpoints[1].network_id == parse_network(fixture("docker29-network-web.json")).id);

  const auto later = parse_container(fixture("docker29-container-created.json"));
  CHECK_FALSE(later.running);
  CHECK(later.state == "created");
  REQUIRE(later.endpoints.size() == 1);
  CHECK(later.endpoints[0].addresses().empty());

  const test::Variable none("DOCKER_API_VERSION", nullptr);
  const FakeEngine engine(test::serve_paths({{"/v1.52/containers/json", fixture("docker29-containers.json")}},
                                            "Api-Version: 1.52\r\n"));
  Client client({engine.socket(), "--engine"});
  const auto list = Containers(client).list({"team"}, soon());
  REQUIRE(list.size() == 1);
  CHECK(list[0].id == app.id);
  CHECK(list[0].name == "app");
  CHECK(list[0].state == "running");
}

TEST_CASE("Docker 29: events") {
  std::vector<Event> events;
  EventReader().feed(fixture("docker29-events.jsonl"), [&](const Event& event) { events.push_back(event); });
  std::vector<std::string> actions;
  for (const auto& event : events) actions.push_back(event.action);
  CHECK(actions ==
        std::vector<std::string>{"create", "connect", "start", "exec_create", "die", "disconnect"});
  CHECK(events[1].network == parse_network(fixture("docker29-network-web.json")).id);
  CHECK(events[1].container == events[2].container);
  CHECK(events[2].is_start());
  CHECK(events[2].attributes.at("team") == "build");
  CHECK(events[4].is_end());
}
