// The sidecar as data: which image, what the engine is asked for.
#include "core/file.hpp"
#include "path/sidecar/plan.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

using namespace hostnet;
using namespace hostnet::exposer;

namespace {

Environment environment(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const char* name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

const ssh::SshdSetup kSetup{
    .host_private_key = "PRIVATE KEY", .client_public_key = "ssh-ed25519 AAAA", .listen_ports = {80, 443}};

engine::ContainerSpec spec(bool alias_by_dns = false, std::string publish_on = {}) {
  return sidecar_spec({.lease = "00c0ffee",
                       .image = "testcontainers/sshd:1.3.0",
                       .network_id = "abc",
                       .alias_by_dns = alias_by_dns,
                       .publish_on = std::move(publish_on),
                       .test_run_id = "5e55",
                       .owner = "me"},
                      kSetup);
}

}  // namespace

TEST_CASE("the image: environment, then properties, then the one that everybody uses") {
  CHECK(sidecar_image(environment({}), "") == "testcontainers/sshd:1.3.0");
  CHECK(sidecar_image(environment({}), "# a note\n sshd.container.image = my/sshd:2 \n") == "my/sshd:2");
  CHECK(sidecar_image(environment({{"TESTCONTAINERS_SSHD_CONTAINER_IMAGE", "other:1"}}),
                      "sshd.container.image=my/sshd:2") == "other:1");
  CHECK(sidecar_image(environment({}), "#sshd.container.image=my/sshd:2\nsshd.container.image.x=y\n") ==
        "testcontainers/sshd:1.3.0");
}

TEST_CASE("a prefix goes before a name without a registry") {
  const auto prefixed = [](const char* image, const char* prefix) {
    return sidecar_image(environment({{"TESTCONTAINERS_SSHD_CONTAINER_IMAGE", image},
                                      {"TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX", prefix}}),
                         "");
  };
  CHECK(prefixed("testcontainers/sshd:1.3.0", "mirror.example/hub/") ==
        "mirror.example/hub/testcontainers/sshd:1.3.0");
  CHECK(prefixed("sshd", "mirror.example") == "mirror.example/sshd");
  CHECK(prefixed("localhost/sshd", "mirror.example/") == "localhost/sshd");
  CHECK(prefixed("registry.example:5000/sshd", "mirror.example/") == "registry.example:5000/sshd");
  CHECK(sidecar_image(environment({}), "hub.image.name.prefix=mirror.example/") ==
        "mirror.example/testcontainers/sshd:1.3.0");
}

TEST_CASE("the container: labels as the other languages set them, no privilege that sshd does not need") {
  const auto plain = spec();
  CHECK(plain.name == "tc-hostnet-00c0ffee");
  CHECK(plain.network == "abc");
  CHECK(plain.auto_remove);
  CHECK(plain.no_new_privileges);
  CHECK(plain.sysctls.at("net.ipv4.tcp_syncookies") == "0");
  CHECK(plain.cap_drop == std::vector<std::string>{"ALL"});
  CHECK(std::ranges::find(plain.cap_add, "SYS_ADMIN") == plain.cap_add.end());
  CHECK(plain.labels.at("org.testcontainers") == "true");
  CHECK(plain.labels.at("org.testcontainers.lang") == "c++");
  CHECK(plain.labels.at("org.testcontainers.sessionId") == "5e55");
  CHECK(plain.labels.at(kLeaseLabel) == "00c0ffee");
  CHECK(plain.labels.at(kOwnerLabel) == "me");
  CHECK(plain.ports.empty());
  CHECK(plain.network_aliases.empty());
  CHECK_FALSE(plain.labels.contains(kAliasLabel));
}

TEST_CASE("no key stands on the command line, which every process of the host can read") {
  const auto plain = spec();
  REQUIRE(plain.command);
  REQUIRE(plain.command->size() == 1);
  CHECK(plain.command->front().find("PRIVATE KEY") == std::string::npos);
  CHECK(std::ranges::any_of(
      plain.environment, [](const auto& entry) { return entry.find("PRIVATE KEY") != std::string::npos; }));
}

TEST_CASE("the name by DNS, and a port where the address cannot be dialled") {
  const auto both = spec(true, "127.0.0.1");
  CHECK(both.network_aliases == std::vector<std::string>{"host.testcontainers.internal"});
  CHECK(both.labels.at(kAliasLabel) == "abc");
  REQUIRE(both.ports.size() == 1);
  CHECK(both.ports.front().container == 22);
  CHECK(both.ports.front().host_ip == "127.0.0.1");
}
