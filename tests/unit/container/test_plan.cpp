// Which requests are refused, in which order, and what is sent to the engine.
#include "container/plan.hpp"
#include "hostnet/container.hpp"
#include "hostnet/error.hpp"
#include "path/paths.hpp"
#include "support/expect_error.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace hostnet::container;

namespace {

GenericImage image() { return GenericImage("alpine", "3.19"); }

Error refusal(GenericImage image, Path path = Path::automatic) {
  image.with_exposer(path);
  return test::error_of([&] { check(image.request()); });
}

bool says(const Error& error, std::string_view words) {
  return std::string_view(error.what()).find(words) != std::string_view::npos;
}

}  // namespace

TEST_CASE("an image by tag and by digest") {
  CHECK(image().request().image == "alpine:3.19");
  CHECK(GenericImage("alpine").request().image == "alpine:latest");
  CHECK(GenericImage("alpine:3.19").request().image == "alpine:3.19");
  CHECK(GenericImage("alpine@sha256:00ff").request().image == "alpine@sha256:00ff");
  CHECK(GenericImage("a.example:5000/b").request().image == "a.example:5000/b:latest");
  CHECK(GenericImage("a.example:5000/b:1").request().image == "a.example:5000/b:1");
  CHECK(GenericImage("a.example:5000/b", "sha256:00ff").request().image == "a.example:5000/b@sha256:00ff");
}

TEST_CASE("a builder chains on an object and on a temporary, and copies are independent") {
  auto one = image().with_cmd({"a"}).with_env_var("A", "1").with_exposed_host_ports({80, 81});
  auto two = one;
  two.with_env_var("A", "2").with_exposed_host_ports({HostPort{8080, 80}}).with_exposed_host_port(90);
  CHECK(one.request().environment.at("A") == "1");
  CHECK(two.request().environment.at("A") == "2");
  CHECK(one.request().host_ports == std::vector<HostPort>{HostPort::same(80), HostPort::same(81)});
  CHECK(two.request().host_ports.at(2) == HostPort{8080, 80});
  two = one;
  two.with_env_var("A", "3");
  CHECK(one.request().environment.at("A") == "1");
  const std::vector<std::uint16_t> several{1, 2};
  CHECK(image().with_exposed_host_ports(several).request().host_ports.size() == 2);
  CHECK(image().with_copy_to("/a", "text").request().copies.size() == 1);
}

TEST_CASE("host ports are refused in the agreed order") {
  const auto all = image()
                       .with_exposed_host_ports({22, 0})
                       .with_host(kAlias, "192.0.2.1")
                       .with_network("host")
                       .with_reuse();
  CHECK(refusal(all, Path::ssh).code() == Errc::invalid_argument);
  CHECK(says(refusal(all, Path::ssh), "greater than zero"));

  auto without_zero = image()
                          .with_exposed_host_port(22)
                          .with_host("HOST.testcontainers.internal", "192.0.2.1")
                          .with_network("host")
                          .with_reuse();
  CHECK(says(refusal(without_zero, Path::ssh), "SSH port is reserved"));
  CHECK(refusal(without_zero, Path::native).code() == Errc::conflict);
  CHECK(says(refusal(without_zero, Path::native), "host port exposure"));
  CHECK(says(refusal(without_zero, Path::native), "already defined"));

  for (const auto& [network, words] :
       std::vector<std::pair<std::string, std::string>>{{"host", "the host's network"},
                                                        {"container:0a", "shares another's network"},
                                                        {"none", "without a network"}}) {
    const auto mode = image().with_exposed_host_port(80).with_network(network).with_reuse();
    CHECK(refusal(mode).code() == Errc::invalid_argument);
    CHECK(says(refusal(mode), words));
  }
  CHECK(says(refusal(image().with_exposed_host_port(80).with_reuse()), "a reused container"));
}

TEST_CASE("22 counts as the container's number, not the host's") {
  CHECK(says(refusal(image().with_exposed_host_port({8022, 22}), Path::ssh), "SSH port is reserved"));
  CHECK_NOTHROW(check(image().with_exposed_host_port({22, 8022}).with_exposer(Path::ssh).request()));
  // Which path the automatic choice takes differs from machine to machine.
  CHECK(says(refusal(image().with_exposed_host_port(22)), "SSH port is reserved"));
  CHECK_NOTHROW(check(image().with_exposed_host_port(22).with_exposer(Path::native).request()));
}

TEST_CASE("without host ports, none of these is refused") {
  CHECK_NOTHROW(check(image()
                          .with_host(kAlias, "192.0.2.1")
                          .with_network("host")
                          .with_reuse()
                          .with_exposer(Path::ssh)
                          .request()));
  CHECK_NOTHROW(check(image()
                          .with_exposed_host_ports(std::vector<HostPort>{})
                          .with_network("none")
                          .with_exposer(Path::ssh)
                          .request()));
}

TEST_CASE("duplicates are one, contradictions are refused") {
  CHECK_NOTHROW(check(image().with_exposed_host_ports({80, 80}).with_exposer(Path::ssh).request()));
  CHECK(refusal(image().with_exposed_host_ports({{80, 90}, {81, 90}})).code() == Errc::conflict);
}

TEST_CASE("other requests that cannot be sent") {
  CHECK(says(refusal(image().with_exposed_port(tcp(0))), "greater than zero"));
  CHECK(says(refusal(image().with_mapped_port(80, tcp(0))), "greater than zero"));
  CHECK(says(refusal(image().with_env_var("A=B", "c")), "not a name of an environment variable"));
  CHECK(says(refusal(image().with_label("org.testcontainers.sessionId", "x")), "the library's own"));
  CHECK(says(refusal(image().with_host("", "192.0.2.1")), "not an entry"));
  CHECK(says(refusal(image().with_copy_to("relative", "text")), "not the absolute path"));
  CHECK(says(refusal(image().with_copy_to("/folder/", "text")), "not the absolute path"));
  CHECK(says(refusal(image().with_startup_timeout(std::chrono::milliseconds{0})), "positive"));
  CHECK(says(refusal(image().with_cmd({"\xff"})), "not UTF-8"));
  CHECK(says(refusal(image().with_wait_for(WaitFor::message_on_stdout(""))), "empty"));
  CHECK(says(refusal(image().with_wait_for(WaitFor::listening(udp(53)))), "only for a TCP port"));
  CHECK(says(refusal(image().with_wait_for(WaitFor::http("no slash", tcp(80)))), "not a URL path"));
  CHECK(refusal(image().with_wait_for(WaitFor::http("/", tcp(80)))).code() == Errc::port_not_exposed);
  CHECK_NOTHROW(
      check(image().with_exposed_port(tcp(80)).with_wait_for(WaitFor::http("/", tcp(80))).request()));
}

TEST_CASE("a request becomes the engine's container description") {
  const auto request = image()
                           .with_exposed_port(tcp(80))
                           .with_exposed_port(udp(53))
                           .with_mapped_port(8081, tcp(81))
                           .with_exposed_port(tcp(81))
                           .with_env_var("A", "1")
                           .with_label("mine", "yes")
                           .with_host("other", "192.0.2.1")
                           .with_container_name("chosen")
                           .with_health_check({"true"}, std::chrono::milliseconds{200})
                           .request();
  Surroundings around;
  around.network = "web";
  around.alias_address = "198.18.0.1";
  around.mac = "02:00:00:00:00:01";
  around.labels = {{"org.testcontainers", "true"}};
  const auto spec = spec_of(request, around);
  CHECK(spec.name == "chosen");
  CHECK(spec.environment == std::vector<std::string>{"A=1"});
  CHECK(spec.labels == std::map<std::string, std::string>{{"mine", "yes"}, {"org.testcontainers", "true"}});
  CHECK(spec.network == "web");
  CHECK(spec.mac == "02:00:00:00:00:01");
  CHECK(spec.extra_hosts ==
        std::vector<std::string>{"other:192.0.2.1", "host.testcontainers.internal:198.18.0.1"});
  REQUIRE(spec.ports.size() == 3);  // 81 once
  CHECK((spec.ports[0].container == 81 && spec.ports[0].host == 8081));
  CHECK((spec.ports[1].container == 80 && spec.ports[1].host == 0));
  CHECK((spec.ports[2].container == 53 && spec.ports[2].protocol == Protocol::udp));
  REQUIRE(spec.health_check);
  CHECK(spec.health_check->interval == std::chrono::milliseconds{200});
}

TEST_CASE("the default network has another name with Podman") {
  CHECK(network_name("", false, false).empty());
  CHECK(network_name("", false, true) == "bridge");
  CHECK(network_name("", true, true) == "podman");
  CHECK(network_name("bridge", true, false) == "podman");
  CHECK(network_name("default", false, false) == "bridge");
  CHECK(network_name("web", true, true) == "web");
  CHECK(is_user_network("web", false));
  CHECK(is_user_network("podman", false));
  for (const char* name : {"", "host", "none", "container:0a", "bridge"})
    CHECK_FALSE(is_user_network(name, false));
  CHECK_FALSE(is_user_network("podman", true));
}

TEST_CASE("conditions in words") {
  CHECK(WaitFor::message_on_stderr("up", 2).to_string() == "message 'up' on stderr, 2 times");
  CHECK(WaitFor::seconds(3).to_string() == "3000 ms");
  CHECK(WaitFor::exit().to_string() == "end");
  CHECK(WaitFor::exit(3).to_string() == "end with exit code 3");
  CHECK(WaitFor::healthy().to_string() == "health");
  CHECK(WaitFor::http("/up", tcp(80), 204).to_string() == "HTTP status 204 of '/up' on 80/tcp");
  CHECK(WaitFor::listening(tcp(80)).to_string() == "a listener on 80/tcp");
}
