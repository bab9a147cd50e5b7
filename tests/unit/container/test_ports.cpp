// Published ports from engines' answers, including invalid ones.
#include "container/ports.hpp"
#include "engine/parse.hpp"
#include "hostnet/error.hpp"
#include "support/expect_error.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>

using namespace hostnet;
using container::Family;
using container::host_port;

namespace {

// An engine's answer with these ports.
std::string answer(const std::string& ports) {
  return R"({"Id":"0a00000000000000000000000000000000000000000000000000000000000000","Name":"/web","State":{"Running":true,"Pid":7},"HostConfig":{"NetworkMode":"bridge"},)"
         R"("NetworkSettings":{"Ports":)" +
         ports + "}}";
}

engine::Container with(const std::string& ports) { return engine::parse_container(answer(ports)); }

Errc code_of(const std::string& ports, ContainerPort port, Family family = Family::ipv4) {
  return test::error_of([&] { host_port(with(ports), port, family); }).code();
}

}  // namespace

TEST_CASE("a port for each family, which may differ") {
  const auto both = with(
      R"({"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"49153"},{"HostIp":"::","HostPort":"49160"}],"443/tcp":null})");
  CHECK(host_port(both, tcp(80), Family::ipv4) == 49153);
  CHECK(host_port(both, tcp(80), Family::ipv6) == 49160);
  CHECK(host_port(with(R"({"80/tcp":[{"HostIp":"::","HostPort":"2"},{"HostIp":"0.0.0.0","HostPort":"1"}]})"),
                  tcp(80), Family::ipv4) == 1);
  // Podman leaves the address out.
  CHECK(host_port(with(R"({"80/tcp":[{"HostIp":"","HostPort":"8080"}]})"), tcp(80), Family::ipv6) == 8080);
}

TEST_CASE("a missing port has its own error code") {
  const std::string four = R"({"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"49153"}],"443/tcp":null})";
  CHECK(code_of(four, tcp(81)) == Errc::port_not_exposed);
  CHECK(code_of(four, udp(80)) == Errc::port_not_exposed);
  CHECK(code_of(four, tcp(443)) == Errc::port_not_exposed);
  CHECK(code_of(four, tcp(80), Family::ipv6) == Errc::port_not_exposed);
  CHECK(code_of("null", tcp(80)) == Errc::port_not_exposed);
  CHECK(code_of("{}", tcp(80)) == Errc::port_not_exposed);
  const auto error = test::error_of([&] { host_port(with(four), tcp(81), Family::ipv4); });
  CHECK(std::string(error.what()) == "port 81/tcp of container web is not exposed");
}

TEST_CASE("an invalid answer is an error, never 0") {
  for (const char* port :
       {R"("0")", R"("")", R"("65536")", R"("-1")", R"("80x")", R"(" 80")", "80", "null", "{}"}) {
    const auto ports = fmt::format(R"({{"80/tcp":[{{"HostIp":"0.0.0.0","HostPort":{}}}]}})", port);
    CAPTURE(ports);
    CHECK(code_of(ports, tcp(80)) == Errc::engine_error);
  }
  for (const char* ports : {"[]", "7", R"({"80/tcp":7})", R"({"80/tcp":[7]})", R"({"80/tcp":[{}]})",
                            R"({"x/tcp":[{"HostPort":"1"}]})", R"({"0/tcp":[{"HostPort":"1"}]})"}) {
    CAPTURE(ports);
    CHECK(code_of(ports, tcp(80)) == Errc::engine_error);
  }
  // Nor if it does not come from the parser.
  engine::Container container;
  container.running = true;
  container.ports = {{80, "tcp", "0.0.0.0", 0}};
  CHECK(test::error_of([&] { host_port(container, tcp(80), Family::ipv4); }).code() == Errc::engine_error);
}

TEST_CASE("a published port is on the engine's host") {
  const auto at = [](const char* address) {
    return container::http_url(engine::Address::find(address), 49153, "/health");
  };
  CHECK(at("unix:///run/docker.sock") == "http://127.0.0.1:49153/health");
  CHECK(at("tcp://127.0.0.1:2375") == "http://127.0.0.1:49153/health");
  CHECK(at("tcp://build.example:2375") == "http://build.example:49153/health");
  CHECK(at("tcp://[2001:db8::1]:2375") == "http://[2001:db8::1]:49153/health");
  ::setenv("TESTCONTAINERS_HOST_OVERRIDE", "192.0.2.7", 1);
  CHECK(at("unix:///run/docker.sock") == "http://192.0.2.7:49153/health");
  ::setenv("TESTCONTAINERS_HOST_OVERRIDE", "", 1);
  CHECK(at("tcp://build.example:2375") == "http://build.example:49153/health");
  ::unsetenv("TESTCONTAINERS_HOST_OVERRIDE");
}
