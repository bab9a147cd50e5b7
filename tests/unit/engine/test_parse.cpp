// The parsers: on answers of real engines (data/), and on those answers broken in every place.
#include "core/sanitized.hpp"
#include "engine/parse.hpp"
#include "hostnet/error.hpp"
#include "support/addresses.hpp"
#include "support/expect_error.hpp"
#include "support/text.hpp"
#include "unit/engine/fake_engine.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <type_traits>
#include <utility>

using namespace hostnet;
using namespace hostnet::engine;
using Tree = nlohmann::json;
using test::contains;
using test::fixture;
using test::ip;

namespace {

// The message of the error that `parse` throws.
template <class Parser>
std::string complaint(Parser parse, const std::string& text) {
  try {
    if constexpr (std::is_invocable_v<Parser, const std::string&, Deadline>)
      static_cast<void>(parse(text, Deadline::never()));
    else
      static_cast<void>(parse(text));
  } catch (const Error& error) {
    CHECK(error.code() == Errc::engine_error);
    return error.what();
  }
  return "accepted";
}

struct Case {
  const char* file;
  std::function<void(std::string_view)> parse;
};

const std::vector<Case>& cases() {
  static const auto version = [](std::string_view text) { static_cast<void>(parse_version(text)); };
  static const auto network = [](std::string_view text) { static_cast<void>(parse_network(text)); };
  static const auto networks = [](std::string_view text) { static_cast<void>(parse_networks(text)); };
  static const auto bridges = [](std::string_view text) { static_cast<void>(parse_libpod_bridges(text)); };
  static const auto container = [](std::string_view text) { static_cast<void>(parse_container(text)); };
  static const std::vector<Case> all{
      {"docker-version.json", version},     {"podman-version.json", version},
      {"docker-network-web.json", network}, {"docker-network-bridge.json", network},
      {"podman-network-web.json", network}, {"docker-networks.json", networks},
      {"podman-networks.json", networks},   {"podman-libpod-network.json", bridges},
      {"docker-container.json", container}, {"docker-container-shared.json", container},
      {"podman-container.json", container}, {"podman-container-created.json", container},
      {"docker29-networks.json", networks}, {"docker29-container.json", container},
  };
  return all;
}

// The text must be parsed or refused as engine_error; any other result fails (or crashes) the test.
bool survives(const Case& one, const std::string& text) {
  try {
    one.parse(text);
    return true;
  } catch (const Error& error) {
    return error.code() == Errc::engine_error && std::string_view(error.what()).size() < 1000;
  } catch (...) {
    return false;
  }
}

// Calls visit with the path of every value in the tree, the root's too.
void each_path(const Tree& value, const Tree::json_pointer& path,
               const std::function<void(const Tree::json_pointer&)>& visit) {
  visit(path);
  if (value.is_object())
    for (const auto& [key, member] : value.items()) each_path(member, path / key, visit);
  if (value.is_array())
    for (std::size_t i = 0; i < value.size(); ++i) each_path(value[i], path / i, visit);
}

// With a sanitizer, all of them take minutes; the fuzzers start from the same cases and cover the rest.
constexpr std::size_t kStep = kSanitized ? 5 : 1;

const std::vector<Tree>& strange_values() {
  static const std::vector<Tree> values{nullptr,
                                        true,
                                        0,
                                        -1,
                                        1.5,
                                        1e308,
                                        UINT64_MAX,
                                        INT64_MIN,
                                        "",
                                        "text",
                                        "999.1.1.1",
                                        "::1",
                                        Tree::array(),
                                        Tree::object(),
                                        Tree::array({1}),
                                        Tree::array({nullptr}),
                                        Tree::object({{"a", nullptr}}),
                                        Tree::object({{"Gateway", 7}}),
                                        std::string(2000, 'x')};
  return values;
}

}  // namespace

TEST_CASE("the labels of an image, if any") {
  CHECK(parse_image_labels(R"({"Id":"sha256:0","Config":{"Labels":{"a":"1"}}})") ==
        std::map<std::string, std::string>{{"a", "1"}});
  for (const char* none : {R"({"Config":{"Labels":null}})", R"({"Config":{}})", R"({"Config":null})", "{}"})
    CHECK(parse_image_labels(none).empty());
  CHECK(test::error_of([] { parse_image_labels("[]"); }).code() == Errc::engine_error);
}

TEST_CASE("versions of Docker and Podman") {
  const auto docker = parse_version(fixture("docker-version.json"));
  CHECK(docker.product == "Docker Engine");
  CHECK(docker.version == "20.10.24+dfsg1");
  CHECK(docker.api_version == "1.41");
  CHECK_FALSE(docker.is_podman());
  const auto podman = parse_version(fixture("podman-version.json"));
  CHECK(podman.product == "Podman Engine");
  CHECK(podman.version == "4.3.1");
  CHECK(podman.is_podman());
  CHECK(parse_version(R"({"Version":"28.1","ApiVersion":"1.49","Platform":{"Name":"Docker Desktop 4.41"}})")
            .product == "Docker Desktop 4.41");
}

TEST_CASE("Docker's networks: the bridge's name is explicit, docker0, or derived from the id") {
  const auto web = parse_network(fixture("docker-network-web.json"));
  CHECK(web.name == "web");
  CHECK(web.driver == "bridge");
  CHECK_FALSE(web.internal);
  CHECK(web.id.size() == 64);
  CHECK(web.bridge == "br-12a218f65790");
  CHECK(web.dns);
  CHECK(web.gateway == ip("198.19.0.1"));
  CHECK(web.containers ==
        std::vector<std::string>{"14b189172b6b4d310c28bf0a2cc0537b75b6df1aa08d410e89b7c1c3bf15a3a9"});
  CHECK(parse_network(fixture("docker-network-bridge.json")).bridge == "docker0");
  CHECK_FALSE(parse_network(fixture("docker-network-bridge.json")).dns);
  CHECK(
      parse_network(
          R"({"Id":"abc0000000000000000000000000000000000000000000000000000000000000","Name":"bridge","Driver":"bridge"})")
          .bridge == "docker0");

  const auto named = parse_network(fixture("docker-network-named.json"));
  CHECK(named.bridge == "brnamed");
  CHECK_FALSE(named.gateway);  // --subnet without --gateway: Docker keeps what it chose to itself

  const auto host = parse_network(fixture("docker-network-host.json"));
  CHECK(host.driver == "host");
  CHECK(host.bridge.empty());
  CHECK_FALSE(host.gateway);
  CHECK(host.containers.empty());  // its one container has no interface there
}

TEST_CASE("a list of networks") {
  const auto networks = parse_networks(fixture("docker-networks.json"));
  std::set<std::string> names;
  for (const auto& network : networks) names.insert(network.name);
  CHECK(names == std::set<std::string>{"host", "bridge", "web", "named", "inner", "none"});
  for (const auto& network : networks) CHECK(network.internal == (network.name == "inner"));
  CHECK(parse_networks("[]").empty());
}

TEST_CASE("a swarm's networks: their ids, and who may join") {
  const auto of = [](std::string_view id, std::string_view rest) {
    return fmt::format(R"({{"Id":"{}","Name":"n","Driver":"overlay","Scope":"swarm"{}}})", id, rest);
  };
  constexpr std::string_view id = "2upnfhqcjs8fbp5ilnnmeb1rg";
  const auto closed = parse_network(of(id, R"(,"Attachable":false,"Ingress":false)"));
  CHECK(closed.id == id);
  CHECK_FALSE(closed.attachable);
  CHECK_FALSE(closed.ingress);
  CHECK(parse_network(of(id, R"(,"Attachable":true)")).attachable);
  CHECK(parse_network(of(id, R"(,"Ingress":true)")).ingress);
  for (const auto* bad :
       {"2upnfhqcjs8fbp5ilnnmeb1r", "2upnfhqcjs8fbp5ilnnmeb1r/", "2UPNFHQCJS8FBP5ILNNMEB1RG", ""})
    CHECK_THROWS_AS(parse_network(of(bad, "")), Error);
  const auto local = std::string(64, 'a');
  CHECK(parse_network(fmt::format(R"({{"Id":"{}","Name":"n","Driver":"bridge","Attachable":false}})", local))
            .attachable);
  CHECK_THROWS_AS(parse_network(fmt::format(R"({{"Id":"{}","Name":"n","Driver":"bridge"}})", id)), Error);
}

TEST_CASE("the families of a network and of a container's endpoint") {
  const auto network = [](std::string_view subnets) {
    return parse_network(fmt::format(R"({{"Id":"{}","Name":"n","Driver":"bridge","IPAM":{{"Config":[{}]}}}})",
                                     std::string(64, 'a'), subnets));
  };
  CHECK(network(R"({"Subnet":"10.0.0.0/24"},{"Subnet":"fd00::/64"})").ipv4);
  CHECK(network("").ipv4);
  CHECK_FALSE(network(R"({"Subnet":"fd00::/64"})").ipv4);
}

TEST_CASE("the first IPv4 gateway counts, IPv6 ones do not, invalid ones are refused") {
  const auto with = [](const std::string& config) {
    return R"({"Id":"dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd","Name":"n","Driver":"bridge","IPAM":{"Config":)" +
           config + "}}";
  };
  CHECK(parse_network(with(R"([{"Gateway":"fd00::1"},{"Subnet":"10.1.0.0/16"},{"Gateway":"10.2.0.1"},)"
                           R"({"Gateway":"10.3.0.1"}])"))
            .gateway == ip("10.2.0.1"));
  CHECK(parse_network(with(R"([{"Gateway":"10.2.0.1/16"}])")).gateway == ip("10.2.0.1"));
  CHECK_FALSE(parse_network(with(R"([{"Gateway":"fd00::1"},{"Gateway":""},{"Gateway":null}])")).gateway);
  CHECK_FALSE(parse_network(with("null")).gateway);
  CHECK(
      contains(complaint(parse_network, with(R"([{},{"Gateway":"10.2.0.256"}])")), "IPAM.Config[1].Gateway"));
}

TEST_CASE("Podman's networks list stopped containers, which are left out") {
  const auto web = parse_network(fixture("podman-network-web.json"));
  CHECK(web.gateway == ip("10.89.0.1"));
  CHECK(web.containers.size() == 2);
  const auto bridges = parse_libpod_bridges(fixture("podman-libpod-network.json"));
  REQUIRE(bridges.size() == 1);
  CHECK(bridges.at(web.id) == LibpodBridge{.interface = "podman1", .dns = true});
  CHECK(
      parse_libpod_bridges(
          R"([{"id":"a","driver":"macvlan"},{"id":"b","driver":"bridge","network_interface":"p"},
                {"id":"c","driver":"bridge","network_interface":"q","dns_enabled":true}])") ==
      std::map<std::string, LibpodBridge>{{"b", {.interface = "p"}}, {"c", {.interface = "q", .dns = true}}});
}

TEST_CASE("Docker's containers") {
  const auto running = parse_container(fixture("docker-container.json"));
  CHECK(running.name == "c1");
  CHECK(running.running);
  CHECK(running.pid == 6260);
  CHECK(running.network_mode == "web");
  CHECK(running.hosts_path ==
        "/var/lib/docker/containers/14b189172b6b4d310c28bf0a2cc0537b75b6df1aa08d410e89b7c1c3bf15a3a9/hosts");
  CHECK_FALSE(running.hosts_mounted);
  CHECK(running.extra_hosts == std::vector<std::string>{"x.example:1.2.3.4", "h:host-gateway"});
  REQUIRE(running.endpoints.size() == 2);
  CHECK(running.endpoints[0].network == "named");
  CHECK(running.endpoints[0].address == ip("10.77.0.2"));
  CHECK(running.endpoints[0].gateway == ip("10.77.0.1"));
  CHECK(running.endpoints[1].network == "web");
  CHECK(running.endpoints[1].network_id ==
        "12a218f65790dcf4c675901b2dba8d2cd912d34d9985d09fbc53ad0081066b50");

  const auto created = parse_container(fixture("docker-container-created.json"));
  CHECK_FALSE(created.running);
  CHECK(created.pid == 0);
  REQUIRE(created.endpoints.size() == 1);
  CHECK_FALSE(created.endpoints[0].address);

  CHECK(parse_container(fixture("docker-container-host.json")).network_mode == "host");
  CHECK(parse_container(fixture("docker-container-shared.json")).network_mode == "container:" + running.id);
}

TEST_CASE("Podman's containers") {
  const auto running = parse_container(fixture("podman-container.json"));
  CHECK(running.name == "c1");
  CHECK(running.pid == 8065);
  CHECK(running.network_mode == "bridge");
  REQUIRE(running.endpoints.size() == 1);
  CHECK(running.endpoints[0].network == "web");
  CHECK(running.endpoints[0].address == ip("10.89.0.2"));
  CHECK(running.endpoints[0].gateway == ip("10.89.0.1"));
  CHECK_FALSE(parse_container(fixture("podman-container-created.json")).running);
}

TEST_CASE("a container's image, labels, state and last exit code") {
  auto container = Tree::parse(fixture("docker-container.json"));
  const auto running = parse_container(container.dump());
  CHECK(running.image == "alpine:3.19");
  CHECK(running.labels.empty());
  CHECK(running.state == "running");
  CHECK(running.exit_code == 0);
  container["Config"]["Labels"] = {{"a", "1"}, {"b", ""}};
  container["State"]["Status"] = "exited";
  container["State"]["ExitCode"] = 137;
  const auto ended = parse_container(container.dump());
  CHECK(ended.labels == std::map<std::string, std::string>{{"a", "1"}, {"b", ""}});
  CHECK(ended.state == "exited");
  CHECK(ended.exit_code == 137);
  container["Config"]["Labels"]["b"] = 7;
  CHECK(contains(complaint(parse_container, container.dump()), "Config.Labels.b"));
  CHECK(parse_container(fixture("podman-container.json")).image == "localhost/alpine:3.19");
}

TEST_CASE("published ports: one per host address, none for ports that are only exposed") {
  auto container = Tree::parse(fixture("docker-container.json"));
  auto& ports = container["NetworkSettings"]["Ports"];
  const auto seen = [&](const Tree& value) {
    ports = value;
    return parse_container(container.dump()).ports;
  };
  CHECK(
      seen({{"22/tcp", {{{"HostIp", "127.0.0.1"}, {"HostPort", "32768"}}}},
            {"53/udp", {{{"HostIp", "0.0.0.0"}, {"HostPort", "53"}}, {{"HostIp", "::"}, {"HostPort", "53"}}}},
            {"80/tcp", nullptr},
            {"81", {{{"HostPort", "65535"}}}},
            {"82/tcp", Tree::array()}}) == std::vector<PublishedPort>{{22, "tcp", "127.0.0.1", 32768},
                                                                      {53, "udp", "0.0.0.0", 53},
                                                                      {53, "udp", "::", 53},
                                                                      {81, "tcp", "", 65535}});
  CHECK(seen(nullptr).empty());
  CHECK(seen(Tree::object()).empty());

  const auto wrong = [&](const Tree& value) {
    ports = value;
    return complaint(parse_container, container.dump());
  };
  for (const char* port : {"", "0", "65536", "-1", "x", "1x"})
    CHECK(
        contains(wrong({{"22/tcp", {{{"HostPort", port}}}}}), "NetworkSettings.Ports.'22/tcp'[0].HostPort"));
  for (const char* port : {"", "/tcp", "0/tcp", "65536/tcp", "x/tcp", "22/"})
    CHECK(contains(wrong({{port, {{{"HostPort", "22"}}}}}), "NetworkSettings.Ports."));
  CHECK(contains(wrong({{"22/tcp", {{{"HostPort", 22}}}}}), "HostPort is of type number"));
  CHECK(contains(wrong({{"22/tcp", {Tree::object()}}}), "HostPort is missing"));
  CHECK(wrong({{"22/tcp", 7}}) != "accepted");
  CHECK(wrong(7) != "accepted");
}

TEST_CASE("between two restarts a container does not run; the pid of a stopped container is ignored") {
  auto container = Tree::parse(fixture("docker-container.json"));
  container["State"]["Pid"] = 0;
  CHECK_FALSE(parse_container(container.dump()).running);
  container["State"]["Pid"] = 17;
  container["State"]["Running"] = false;
  CHECK(parse_container(container.dump()).pid == 0);
}

TEST_CASE("the TCP ports that a container announces") {
  auto container = Tree::parse(fixture("docker-container.json"));
  for (const auto* const port : {"80/tcp", "53/udp", "8080", "0x1/tcp", "70000/tcp", ""})
    container["Config"]["ExposedPorts"][port] = Tree::object();
  CHECK(parse_container(container.dump()).exposed_ports == std::vector<std::uint16_t>{80, 8080});
  container["Config"]["ExposedPorts"] = nullptr;
  CHECK(parse_container(container.dump()).exposed_ports.empty());
}
TEST_CASE("a container that Podman is stopping or has paused still has a process") {
  auto container = Tree::parse(fixture("podman-container.json"));
  container["State"]["Running"] = false;
  for (const auto* const state : {"stopping", "paused"}) {
    container["State"]["Status"] = state;
    container["State"]["Pid"] = 17;
    CHECK(parse_container(container.dump()).running);
    CHECK(parse_container(container.dump()).pid == 17);
    container["State"]["Pid"] = 0;
    CHECK_FALSE(parse_container(container.dump()).running);
  }
}

TEST_CASE("a hosts file mounted by the user is detected") {
  auto container = Tree::parse(fixture("docker-container.json"));
  container["Mounts"] =
      Tree::parse(R"([{"Destination":"/data"},{"Type":"bind","Destination":"/etc/hosts"}])");
  CHECK(parse_container(container.dump()).hosts_mounted);
  container["Mounts"][1]["Destination"] = "/etc/hosts2";
  CHECK_FALSE(parse_container(container.dump()).hosts_mounted);
}

TEST_CASE("an error names the field and its fault") {
  auto container = Tree::parse(fixture("docker-container.json"));
  const auto without = [&](const char* pointer) {
    auto copy = container;
    auto parent = Tree::json_pointer(pointer);
    const auto key = parent.back();
    parent.pop_back();
    copy[parent].erase(key);
    return complaint(parse_container, copy.dump());
  };
  const auto with = [&](const char* pointer, const Tree& value) {
    auto copy = container;
    copy[Tree::json_pointer(pointer)] = value;
    return complaint(parse_container, copy.dump());
  };
  for (const char* mandatory : {"Id", "Name", "State", "State.Pid", "State.Running", "HostConfig",
                                "HostConfig.NetworkMode", "NetworkSettings"}) {
    std::string pointer = fmt::format("/{}", mandatory);
    std::ranges::replace(pointer, '.', '/');
    CHECK(contains(without(pointer.c_str()), fmt::format("{} is missing", mandatory)));
    CHECK(contains(with(pointer.c_str(), Tree::array()), mandatory));
  }
  CHECK(contains(with("/State/Pid", "17"), "State.Pid is of type string, not a whole number"));
  CHECK(contains(with("/State/Pid", -1), "State.Pid is -1, not a whole number from 0"));
  CHECK(contains(with("/State/Pid", UINT64_MAX), "State.Pid is 18446744073709551615"));
  CHECK(contains(with("/State/Pid", 1.5), "State.Pid"));
  CHECK(contains(with("/HostConfig/ExtraHosts/1", 7), "HostConfig.ExtraHosts[1]"));
  CHECK(contains(with("/NetworkSettings/Networks/web/IPAddress", "nowhere"),
                 "NetworkSettings.Networks.web.IPAddress is 'nowhere', not an IP address"));
  CHECK(
      contains(complaint(parse_networks, fixture("docker-version.json")), "the document is of type object"));
  CHECK(contains(
      complaint(
          parse_networks,
          R"([{"Id":"dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd","Name":"n","Driver":"d"},{"Id":"dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"}])"),
      "[1].Name is missing"));
  // A key chosen to corrupt a terminal.
  CHECK(contains(
      complaint(
          parse_container,
          R"({"Id":"dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd","Name":"n","State":{"Pid":0,"Running":false},)"
          R"("HostConfig":{"NetworkMode":"n"},"NetworkSettings":)"
          R"({"Networks":{"a\u001b[31m":1}}})"),
      R"(NetworkSettings.Networks.'a\x1b[31m')"));
}

TEST_CASE("text that is not JSON is refused") {
  for (const std::string text :
       {"", " ", "null", "OK", "<html>", "{", "{\"Id\":", "\xff\xfe", "{}{}", "\"\xc3\x28\"", "nan"})
    for (const auto& one : cases()) {
      CAPTURE(text);
      CHECK_THROWS_AS(one.parse(text), Error);
      CHECK(survives(one, text));
    }
  CHECK_THROWS_AS(parse_network(std::string_view("{}\0", 3)), Error);
}

TEST_CASE("nesting is bounded: millions of brackets cost neither stack nor memory") {
  for (const char* opening : {"[", "{\"a\":", "[{\"Containers\":"}) {
    for (const std::size_t depth : {65UL, 1000UL, 100'000UL, 5'000'000UL}) {
      std::string text;
      for (std::size_t i = 0; i < depth; ++i) text += opening;
      CHECK(contains(complaint(parse_networks, text), "nested deeper"));
    }
  }
  // Equally deep but closed: refused before a deep tree exists.
  const auto closed = std::string(100'000, '[') + std::string(100'000, ']');
  CHECK(contains(complaint(parse_container, closed), "nested deeper"));
  CHECK(contains(complaint(parse_container, std::string(64, '[') + "7" + std::string(64, ']')),
                 "of type array"));
}

TEST_CASE("an oversized list is refused, and parsing ends at the deadline") {
  std::string list = "[";
  while (list.size() < (16U << 20) - 3) list += "{},";
  list += "{}]";
  CHECK(contains(complaint(parse_networks, list), "more than 500000 values"));
  const auto late = Deadline::after(std::chrono::milliseconds{0});
  CHECK(test::error_of([&] { parse_networks("[]", late); }).code() == Errc::timed_out);
  CHECK(test::error_of([&] { parse_container(fixture("docker-container.json"), late); }).code() ==
        Errc::timed_out);
}

TEST_CASE("every truncation of every real answer is refused") {
  for (const auto& one : cases()) {
    CAPTURE(one.file);
    auto text = fixture(one.file);
    text.erase(text.find_last_not_of(" \n") + 1);
    REQUIRE(survives(one, text));
    CHECK_NOTHROW(one.parse(text));
    std::size_t accepted = 0;
    std::size_t broken = 0;
    for (std::size_t length = 0; length < text.size(); length += kStep) {
      const auto part = text.substr(0, length);
      if (!survives(one, part)) ++broken;
      try {
        one.parse(part);
        ++accepted;
      } catch (const Error&) {
      }
    }
    CHECK(accepted == 0);
    CHECK(broken == 0);
  }
}

TEST_CASE("every value of every real answer replaced by each other type: a value or an Error, nothing else") {
  std::size_t tried = 0;
  std::size_t paths = 0;
  for (const auto& one : cases()) {
    CAPTURE(one.file);
    const auto original = Tree::parse(fixture(one.file));
    each_path(original, Tree::json_pointer(), [&](const Tree::json_pointer& path) {
      for (auto i = paths++ % kStep; i < strange_values().size(); i += kStep) {
        const auto& strange = strange_values()[i];
        auto copy = original;
        copy[path] = strange;
        ++tried;
        if (!survives(one, copy.dump()))
          FAIL_CHECK(path.to_string() << " = " << strange.dump().substr(0, 80));
      }
      if (path.empty()) return;
      auto copy = original;
      auto parent = path;
      parent.pop_back();
      if (!copy[parent].is_object()) return;
      copy[parent].erase(path.back());
      ++tried;
      if (!survives(one, copy.dump())) FAIL_CHECK(path.to_string() << " left out");
    });
  }
  CHECK(tried > 10'000 / kStep);
}

TEST_CASE("every byte of a real answer changed: a value or an Error, nothing else") {
  // One of these in turn: all of them at every byte would take a minute, and the fuzzer covers the rest.
  constexpr std::string_view bytes("\0\"{]\\9-\xff,", 9);
  for (const auto& one : cases()) {
    CAPTURE(one.file);
    const auto original = fixture(one.file);
    for (std::size_t at = 0; at < original.size(); at += kStep) {
      auto text = original;
      text[at] = bytes[at % bytes.size()];
      if (!survives(one, text)) FAIL_CHECK("byte " << at << " = " << static_cast<int>(text[at]));
    }
  }
}

TEST_CASE("an error's message is the engine's own, on one line, not too long") {
  CHECK(parse_error_message(R"({"message":"No such container: c"})") == "No such container: c");
  CHECK(parse_error_message(fixture("podman-error.json")) ==
        "unable to find network with name or ID nope: network not found");
  CHECK(parse_error_message(R"({"message":"two\nlines\u001b[31m"})") == "two lines\\x1b[31m");
  CHECK(parse_error_message("plain text\n") == "plain text");
  CHECK(parse_error_message("") == "");
  CHECK(parse_error_message(R"({"message":7})") == R"({"message":7})");
  CHECK(parse_error_message(R"({"cause":"x"})") == R"({"cause":"x"})");
  CHECK(parse_error_message(std::string(5000, 'x')) == std::string(400, 'x') + "…");
  // The cut is between characters.
  std::string accents;
  for (int i = 0; i < 300; ++i) accents += "é";
  CHECK(parse_error_message("a" + accents) == fmt::format("a{}…", accents.substr(0, 398)));
  CHECK(parse_error_message(std::string(100'000, '[')).size() == 403);
  // The cut applies to the escaped text.
  CHECK(parse_error_message(std::string(399, '\x01')).size() == 403);
}

TEST_CASE("whether an engine's containers are confined by SELinux") {
  CHECK(parse_has_selinux(R"({"SecurityOptions":["name=seccomp,profile=default","name=selinux"]})"));
  CHECK_FALSE(parse_has_selinux(R"({"SecurityOptions":["name=seccomp,profile=default","name=apparmor"]})"));
  CHECK_FALSE(parse_has_selinux(R"({"SecurityOptions":null})"));
  CHECK_FALSE(parse_has_selinux("{}"));
}

TEST_CASE("whether an engine is rootless") {
  CHECK(parse_is_rootless(R"({"SecurityOptions":["name=seccomp,profile=default","name=rootless"]})"));
  CHECK_FALSE(parse_is_rootless(R"({"SecurityOptions":["name=seccomp,profile=default"]})"));
  CHECK_FALSE(parse_is_rootless(R"({"SecurityOptions":null})"));
  CHECK(parse_is_rootless(R"({"SecurityOptions":["name=seccomp,profile=default"],"Rootless":true})"));
  CHECK_FALSE(parse_is_rootless(R"({"Rootless":false})"));
  CHECK_THROWS_AS(parse_is_rootless("[]"), Error);
}
