// The calls of Client against a fake engine: paths, API version, and results.
#include "engine/client.hpp"
#include "hostnet/error.hpp"
#include "support/expect_error.hpp"
#include "support/log_count.hpp"
#include "unit/engine/fake_engine.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

using namespace hostnet;
using namespace std::chrono_literals;
using engine::Client;
using test::code_of;
using test::FakeEngine;
using test::fixture;
using test::serve_paths;
using test::soon;

namespace {

const std::string kPodmanPing = "Api-Version: 1.41\r\nLibpod-Api-Version: 4.3.1\r\n";

}  // namespace

TEST_CASE("Docker gets requests in its newest API version, after one ping") {
  for (const std::string version : {"1.41", "1.52"}) {
    const FakeEngine engine(
        serve_paths({{"/v" + version + "/version", fixture("docker-version.json")},
                     {"/v" + version + "/networks/web", fixture("docker-network-web.json")},
                     {"/v" + version + "/networks/bridge", fixture("docker-network-bridge.json")},
                     {"/v" + version + "/networks", fixture("docker-networks.json")},
                     {"/v" + version + "/containers/c1/json", fixture("docker-container.json")}},
                    "Api-Version: " + version + "\r\n"));
    Client client({engine.socket(), "--engine"});
    CHECK(client.version(soon()).version == "20.10.24+dfsg1");
    CHECK(client.network("web", soon()).bridge == "br-12a218f65790");
    CHECK(client.networks(soon()).size() == 6);
    CHECK(client.container("c1", soon()).name == "c1");
    CHECK(client.host_gateway(soon()) == Ipv4::parse("198.18.0.1"));
    CHECK(engine.requests().size() == 6);
    CHECK(engine.requests().front() == "GET /_ping HTTP/1.1");
    CHECK(engine.connections() == 1);
  }
}

TEST_CASE("an engine without a version gets requests without one") {
  const FakeEngine engine(serve_paths({{"/version", fixture("docker-version.json")}}, ""));
  CHECK(Client({engine.socket(), "--engine"}).version(soon()).api_version == "1.41");
}

TEST_CASE("Podman's bridges come from its own API, by id") {
  const auto web = "d239eb2ec6e4189b1a5c00481de09d30825f24dde2022734b928b3651599c952";
  const FakeEngine engine(serve_paths(
      {{"/v1.41/networks/web", fixture("podman-network-web.json")},
       {"/v1.41/networks/podman", fixture("podman-network-podman.json")},
       {"/v1.41/networks", fixture("podman-networks.json")},
       {std::string("/v4.3.1/libpod/networks/") + web + "/json", fixture("podman-libpod-network.json")},
       {"/v4.3.1/libpod/networks/2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9/json",
        R"({"id":"2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9","driver":"bridge",)"
        R"("network_interface":"podman0"})"},
       {"/v4.3.1/libpod/networks/json", fmt::format("[{}]", fixture("podman-libpod-network.json"))}},
      kPodmanPing));
  Client client({engine.socket(), "--engine"});
  CHECK(client.network("web", soon()).bridge == "podman1");
  CHECK(client.network("podman", soon()).bridge == "podman0");
  CHECK(client.network("web", soon()).dns);
  CHECK_FALSE(client.network("podman", soon()).dns);
  CHECK(client.host_gateway(soon()) == Ipv4::parse("10.88.0.1"));
  for (const auto& network : client.networks(soon()))
    CHECK(network.bridge == (network.id == web ? "podman1" : ""));
}

TEST_CASE("without a default bridge there is no host gateway; other failures are errors") {
  const FakeEngine none(serve_paths({}, "Api-Version: 1.41\r\n"));
  CHECK_FALSE(Client({none.socket(), "--engine"}).host_gateway(soon()));
  const FakeEngine garbage(serve_paths({{"/v1.41/networks/bridge", "[]"}}, "Api-Version: 1.41\r\n"));
  CHECK(code_of([&] { Client({garbage.socket(), "--engine"}).host_gateway(soon()); }) == Errc::engine_error);
}

TEST_CASE("the error for an invalid answer names the call; the field is a detail") {
  const FakeEngine engine(
      serve_paths({{"/v1.41/containers/c1/json", R"({"Id":7})"}}, "Api-Version: 1.41\r\n"));
  const test::LogCount details("Id is of type number, not a string");
  try {
    Client({engine.socket(), "--engine"}).container("c1", soon());
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::engine_error);
    CHECK(std::string(error.what()) == "the answer to GET /v1.41/containers/c1/json on " + engine.socket() +
                                           " is not that of a container engine, or cut short");
  }
  CHECK(details.times() == 1);
}

TEST_CASE("unknown names and empty ones") {
  const FakeEngine engine(serve_paths({}, "Api-Version: 1.41\r\n"));
  Client client({engine.socket(), "--engine"});
  CHECK(code_of([&] { client.container("c1", soon()); }) == Errc::not_found);
  CHECK(code_of([&] { client.network("web", soon()); }) == Errc::not_found);
  CHECK(code_of([&] { client.container("", soon()); }) == Errc::invalid_argument);
  CHECK(code_of([&] { client.network("", soon()); }) == Errc::invalid_argument);
}

TEST_CASE("a container that ends during Podman's inspection is inspected again") {
  int failures = 2;
  const FakeEngine engine([&](const std::string& line, int connection) {
    if (line.find("_ping") != std::string::npos)
      test::send_bytes(connection, test::http(200, "OK", "Api-Version: 1.41\r\n"));
    else if (failures-- > 0)
      test::send_bytes(
          connection,
          test::http(
              500,
              R"({"cause":"no such process","message":"read /proc/195/cgroup: no such process","response":500})"));
    else
      test::send_bytes(connection, test::http(200, fixture("podman-container-created.json")));
    return true;
  });
  Client client({engine.socket(), "--engine"});
  CHECK(client.container("c6", soon()).name == "c6");
  failures = 1000;
  const auto asked = engine.requests().size();
  CHECK(code_of([&] { client.container_json("c6", soon()); }) == Errc::conflict);
  CHECK(engine.requests().size() - asked == 10);
}

TEST_CASE("one deadline bounds the ping and the call after it") {
  const FakeEngine engine([&](const std::string& line, int connection) {
    if (line.find("_ping") != std::string::npos) test::send_bytes(connection, test::http(200, "OK"));
    return true;
  });
  Client client({engine.socket(), "--engine"});
  client.ping(soon());
  const auto start = Deadline::Clock::now();
  CHECK(code_of([&] { client.networks(Deadline::after(100ms)); }) == Errc::timed_out);
  CHECK(Deadline::Clock::now() - start < 5s);
}

TEST_CASE("a client moves with its connection") {
  const FakeEngine engine(serve_paths({{"/version", fixture("docker-version.json")}}, ""));
  Client client({engine.socket(), "--engine"});
  client.ping(soon());
  Client moved(std::move(client));
  CHECK(moved.version(soon()).api_version == "1.41");
  CHECK(engine.connections() == 1);
}
