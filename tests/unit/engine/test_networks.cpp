// The calls of Networks against a fake engine.
#include "core/json.hpp"
#include "engine/networks.hpp"
#include "hostnet/error.hpp"
#include "support/expect_error.hpp"
#include "unit/engine/fake_engine.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using engine::Client;
using engine::Networks;
using test::FakeEngine;
using test::http;
using test::send_bytes;
using test::soon;

namespace {

// Answers every request after the ping alike.
struct OneAnswer {
  explicit OneAnswer(std::string answer)
      : engine([answer = std::move(answer)](const std::string& line, int connection) {
          const bool ping = line.find("/_ping") != std::string::npos;
          send_bytes(connection, ping ? http(200, "OK", "Api-Version: 1.41\r\n") : answer);
          return true;
        }),
        client({engine.socket(), "--engine"}),
        networks(client) {}

  FakeEngine engine;
  Client client;
  Networks networks;
};

}  // namespace

TEST_CASE("a network is made with its labels, and not twice under one name") {
  OneAnswer world(http(201, R"({"Id":"0a00000000000000000000000000000000000000000000000000000000000000"})"));
  CHECK(world.networks.create("web", {{"a", "1"}}, soon()) == "0a" + std::string(62, '0'));
  CHECK(world.engine.requests().at(1) == "POST /v1.41/networks/create HTTP/1.1");
  CHECK(json::parse(world.engine.bodies().at(1)) ==
        json::parse(R"({"Name":"web","Driver":"bridge","CheckDuplicate":true,"Labels":{"a":"1"}})"));
  CHECK(test::error_of([&] { world.networks.create("", {}, soon()); }).code() == Errc::invalid_argument);
}

TEST_CASE("a network in use stays, and a missing one counts as removed") {
  CHECK(OneAnswer(http(204, "")).networks.remove("web", soon()));
  CHECK(OneAnswer(http(404, R"({"message":"network web not found"})")).networks.remove("web", soon()));
  CHECK_FALSE(
      OneAnswer(
          http(403, R"({"message":"error while removing network: network web id 0a has active endpoints"})"))
          .networks.remove("web", soon()));
  CHECK_FALSE(
      OneAnswer(
          http(500, R"({"cause":"network is being used","message":"\"web\" has associated containers"})"))
          .networks.remove("web", soon()));
  OneAnswer broken(http(500, R"({"message":"disk full"})"));
  CHECK(test::error_of([&] { broken.networks.remove("web", soon()); }).code() == Errc::engine_error);
}

TEST_CASE("networks by label") {
  OneAnswer world(http(
      200,
      R"([{"Id":"0a00000000000000000000000000000000000000000000000000000000000000","Name":"web","Labels":{"a":"1"}},{"Id":"0b00000000000000000000000000000000000000000000000000000000000000","Name":"x","Labels":null}])"));
  const auto seen = world.networks.list({"a"}, soon());
  REQUIRE(seen.size() == 2);
  CHECK(seen[0].name == "web");
  CHECK(seen[0].labels.at("a") == "1");
  CHECK(seen[1].labels.empty());
  OneAnswer nonsense(http(200, R"([{"Name":"web"}])"));
  CHECK(test::error_of([&] { nonsense.networks.list({}, soon()); }).code() == Errc::engine_error);
}
