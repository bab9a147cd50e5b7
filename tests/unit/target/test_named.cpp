// What an unknown name is answered with.
#include "support/expect_error.hpp"
#include "target/named.hpp"
#include "unit/engine/fake_engine.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace hostnet;
using namespace hostnet::exposer;

namespace {

const KnownNames kKnown{.networks = {"bridge", "web"}, .running = {"db", "app"}, .not_running = {"old"}};

std::string text(const Error& error) { return std::string(error.what()) + "; " + error.hint(); }

}  // namespace

TEST_CASE("an unknown network or container is answered with those that there are") {
  CHECK(text(no_such_network("wbe", kKnown)) ==
        "there is no network 'wbe'; there are 'web' and 'bridge'; did you mean 'web'?");
  CHECK(text(no_such_container("ap", kKnown)) ==
        "there is no container 'ap'; running: 'app' and 'db'; not running: 'old'; did you mean 'app'?");
  CHECK(text(no_such_container("odl", kKnown)) ==
        "there is no container 'odl'; running: 'db' and 'app'; not running: 'old'; did you mean 'old'?");
  CHECK(text(no_such_container("x", {})) == "there is no container 'x'; see them: docker ps -a");
}

TEST_CASE("a name of the other kind is told") {
  CHECK(text(no_such_network("app", kKnown)) ==
        "there is no network 'app', but a container of that name; name the container: --container app");
  CHECK(text(no_such_container("web", kKnown)) ==
        "there is no container 'web', but a network of that name; name the network: --network web");
}

TEST_CASE(
    "a swarm's worker tells where its networks are known, each node where another one's containers are") {
  auto worker = kKnown;
  worker.swarm = {.is_member = true, .managers = {"198.51.100.2:2377"}};
  CHECK(text(no_such_network("overlay", worker)) ==
        "there is no network 'overlay'; there are 'web' and 'bridge'; this engine is a worker of a swarm, "
        "and knows a network "
        "of the swarm only while a container of its own is on it: ask a manager, with --engine "
        "ssh://198.51.100.2");
  CHECK(
      no_such_network("wbe", worker).hint().starts_with("did you mean 'web'? Else: this engine is a worker"));
  CHECK(no_such_container("task", worker).hint().starts_with("if it is on another node of the swarm, name"));
  CHECK(no_such_container("ap", worker)
            .hint()
            .starts_with("did you mean 'app'? Else: if it is on another node"));

  auto manager = worker;
  manager.swarm.is_manager = true;
  CHECK(no_such_network("overlay", manager).hint() == "see them: docker network ls");
  CHECK(no_such_container("task", manager).hint().starts_with("if it is on another node of the swarm, name"));
  manager.swarm.is_alone = true;
  CHECK(no_such_container("task", manager).hint() == "see them: docker ps -a");
}

TEST_CASE("the engine is asked for its names only after it did not know one; ours are not among them") {
  const std::string network =
      R"({"Id":"ab00000000000000000000000000000000000000000000000000000000000000","Name":"web","Driver":"bridge"})";
  const auto listed = [](const char* id, const char* name, const char* state, const char* label) {
    return std::string(R"({"Id":")") + std::string(64, *id) + R"(","Names":[)" + name + R"(],"State":")" +
           state + R"(","Labels":{)" + label + "}}";
  };
  const auto containers = "[" + listed("1", R"("/app")", "running", "") + "," +
                          listed("2", R"("/old")", "exited", "") + "," +
                          listed("3", R"("/ours")", "running", R"("io.github.tchostnet.lease":"1a2b3c4d")") +
                          "," + listed("4", R"("/owned")", "running", R"("io.github.tchostnet.owner":"x")") +
                          "," + listed("5", "", "running", "") + "]";
  const test::FakeEngine engine(test::serve_paths({{"/v1.41/networks/web", network},
                                                   {"/v1.41/networks", "[" + network + "]"},
                                                   {"/v1.41/containers/json", containers}},
                                                  "Api-Version: 1.41\r\n"));
  engine::Client client({engine.socket(), "--engine"});
  CHECK(network_named(client, "web", test::soon()).name == "web");
  CHECK(engine.requests().size() == 2);  // the ping, and this one
  CHECK(text(test::error_of([&] { network_named(client, "wbe", test::soon()); })) ==
        "there is no network 'wbe'; there is only 'web'; did you mean 'web'?");
  CHECK(text(test::error_of([&] { container_named(client, "apq", test::soon()); })) ==
        "there is no container 'apq'; running: 'app'; not running: 'old'; did you mean 'app'?");
}

TEST_CASE("an engine that cannot list its names leaves the plain error, and other errors stay") {
  const auto engine_with = [](int status, const char* body) {
    return [=](const std::string& line, int connection) {
      test::send_bytes(connection, line.find("/_ping") != std::string::npos
                                       ? test::http(200, "OK", "Api-Version: 1.41\r\n")
                                   : line.find("/x") != std::string::npos
                                       ? test::http(status, body)
                                       : test::http(500, R"({"message":"busy"})"));
      return true;
    };
  };
  const test::FakeEngine unknown(engine_with(404, R"({"message":"no such thing"})"));
  engine::Client client({unknown.socket(), "--engine"});
  CHECK(text(test::error_of([&] { container_named(client, "x", test::soon()); })) ==
        "there is no container 'x'; see them: docker ps -a");
  const test::FakeEngine broken(engine_with(500, R"({"message":"disk full"})"));
  engine::Client of_broken({broken.socket(), "--engine"});
  CHECK(test::code_of([&] { container_named(of_broken, "x", test::soon()); }) == Errc::engine_error);
  CHECK(test::code_of([&] { network_named(of_broken, "x", test::soon()); }) == Errc::engine_error);
}
