// The steps of a hand-off against a fake engine, where one of them fails: what is told, and what is removed.
#include "core/file.hpp"
#include "hostnet/error.hpp"
#include "lease/tunnel_record.hpp"
#include "path/relay/handoff.hpp"
#include "path/relay/handoff_plan.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"
#include "unit/engine/fake_engine.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

using namespace hostnet;
using namespace hostnet::relay;
using test::error_of;
using test::http;
using test::soon;

namespace {

const std::string kTarget(64, 'a');
const std::string kMade(64, 'b');

std::string elf_file() {
  std::string out(64, '\0');
  out.replace(0, 5,
              "\x7f"
              "ELF\x02");
  out[5] = 1;
  out[18] = 62;
  return out;
}

std::string image_with(const std::string& layer) {
  return http(200, fmt::format(R"({{"Id":"sha256:1","RootFS":{{"Layers":["{}"]}}}})", layer));
}

std::string described(const std::string& id, bool running) {
  return http(200,
              fmt::format(R"({{"Id":"{}","Name":"/api","State":{{"Running":{},"Pid":{}}},)"
                          R"("HostConfig":{{"NetworkMode":"none"}},"NetworkSettings":{{"Networks":{{}}}}}})",
                          id, running, running ? 1 : 0));
}

// An engine with one answer to each kind of request, of the kinds that a hand-off makes.
struct World {
  explicit World(std::map<std::string, std::string> given)
      : engine([answers = std::move(given)](const std::string& line, int connection) {
          for (const auto& [beginning, answer] : answers)
            if (line.find(beginning) != std::string::npos) {
              test::send_bytes(connection, answer);
              return true;
            }
          const bool ping = line.find("/_ping") != std::string::npos;
          test::send_bytes(connection, ping ? http(200, "OK", "Api-Version: 1.41\r\n")
                                            : http(404, R"({"message":"no such thing"})"));
          return true;
        }),
        client({engine.socket(), "--engine"}),
        store((folder.path() / "state").string()) {
    write_program(elf_file());
    target.id = kTarget;
    target.name = "api";
    target.running = true;
    target.pid = ::getpid();
    target.hosts_path = "/data/hosts";
  }
  ~World() { ::unsetenv("TC_HOSTNET_HANDOFF"); }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  void write_program(const std::string& text) {
    const auto path = (folder.path() / "program").string();
    replace_file(path, text, 0755);
    ::setenv("TC_HOSTNET_HANDOFF", path.c_str(), 1);
  }
  Error failure() {
    return error_of([&] {
      hand_off(client, store, target, {.lease = "1", .name = "tc-hostnet-1", .ports = {8080}}, soon());
    });
  }
  [[nodiscard]] bool asked(const std::string& beginning) const {
    const auto lines = engine.requests();
    return std::ranges::any_of(lines, [&](const auto& line) { return line.starts_with(beginning); });
  }
  [[nodiscard]] bool left_a_socket() const {
    return std::filesystem::exists(store.folder() / "tc-hostnet-1.sock");
  }

  test::TempDir folder;
  test::FakeEngine engine;
  engine::Client client;
  state::TunnelStore store;
  engine::Container target;
};

const std::string kLayer = handoff_image(elf_file()).layer;
const std::pair<const std::string, std::string> kHasImage{"/images/tc-hostnet", image_with(kLayer)};
const std::pair<const std::string, std::string> kCreates{"POST /v1.41/containers/create",
                                                         http(201, fmt::format(R"({{"Id":"{}"}})", kMade))};
const std::pair<const std::string, std::string> kRemoves{"DELETE /v1.41/containers/" + kMade, http(204, "")};

}  // namespace

TEST_CASE("an engine that refuses the image is quoted, and no container is made") {
  World refusing({{"POST /v1.41/images/load", http(500, R"({"message":"no space left on device"})")}});
  auto error = refusing.failure();
  CHECK(error.code() == Errc::engine_error);
  CHECK(std::string(error.what()).starts_with("hand-off image: "));
  CHECK(std::string(error.what()).find("no space left") != std::string::npos);
  CHECK_FALSE(refusing.asked("POST /v1.41/containers"));

  // Docker reports some failures so.
  World silent({{"POST /v1.41/images/load", http(200, R"({"errorDetail":{"message":"invalid diffID"}})")}});
  error = silent.failure();
  CHECK(error.code() == Errc::engine_error);
  CHECK(std::string(error.what()).find("invalid diffID") != std::string::npos);
  CHECK_FALSE(silent.left_a_socket());
}

TEST_CASE("an image under our tag with another layer is loaded over, and never run") {
  World world({{"/images/tc-hostnet", image_with("sha256:" + std::string(64, '0'))},
               {"POST /v1.41/images/load", http(200, "")},
               kCreates});
  CHECK(world.failure().code() == Errc::engine_error);
  CHECK(world.asked("POST /v1.41/images/load"));
  CHECK_FALSE(world.asked("POST /v1.41/containers"));
}

TEST_CASE("an engine that does not see our socket cannot serve") {
  World world(
      {kHasImage,
       {"POST /v1.41/containers/create",
        http(
            400,
            R"({"message":"invalid mount config for type \"bind\": bind source path does not exist: /s"})")}});
  const auto error = world.failure();
  CHECK(error.code() == Errc::no_path);
  CHECK(error.hint().find("--via ssh") != std::string::npos);
  CHECK_FALSE(world.asked("POST /v1.41/images/load"));
  CHECK_FALSE(world.left_a_socket());
}

TEST_CASE("a container that does not start is removed") {
  World world({kHasImage,
               kCreates,
               kRemoves,
               {"/start ", http(409, R"({"message":"cannot join network of a non running container"})")},
               {"GET /v1.41/containers/" + kTarget, described(kTarget, false)}});
  auto error = world.failure();
  CHECK(error.code() == Errc::not_found);
  CHECK(std::string(error.what()) == "container api has stopped");
  CHECK(world.asked("DELETE /v1.41/containers/" + kMade));
  CHECK_FALSE(world.left_a_socket());

  World other({kHasImage,
               kCreates,
               kRemoves,
               {"/start ", http(500, R"({"message":"runc is not there"})")},
               {"GET /v1.41/containers/" + kTarget, described(kTarget, true)}});
  error = other.failure();
  CHECK(error.code() == Errc::engine_error);
  CHECK(std::string(error.what()).starts_with("hand-off start: "));
  CHECK(other.asked("DELETE /v1.41/containers/" + kMade));
}

TEST_CASE("an engine that refuses the capability for a port map is asked once more without it") {
  const auto bodies_of = [](const World& world) {
    std::vector<std::string> out;
    const auto lines = world.engine.requests();
    const auto bodies = world.engine.bodies();
    for (std::size_t i = 0; i < lines.size(); ++i)
      if (lines[i].starts_with("POST /v1.41/containers/create")) out.push_back(bodies[i]);
    return out;
  };
  const std::pair<const std::string, std::string> refuses{"POST /v1.41/containers/create",
                                                          http(403, R"({"message":"denied by a plugin"})")};
  const std::pair<const std::string, std::string> fails{
      "/start ", http(500, R"({"message":"unable to apply caps: operation not permitted"})")};
  const std::pair<const std::string, std::string> runs{"GET /v1.41/containers/" + kTarget,
                                                       described(kTarget, true)};
  for (auto answers : {std::map{kHasImage, refuses}, std::map{kHasImage, kCreates, kRemoves, fails, runs}}) {
    World world(std::move(answers));
    CHECK(world.failure().code() == Errc::engine_error);
    const auto bodies = bodies_of(world);
    REQUIRE(bodies.size() == 2);
    CHECK(bodies[0].find("NET_ADMIN") != std::string::npos);
    CHECK(bodies[1].find("NET_ADMIN") == std::string::npos);
  }
}

TEST_CASE("a container that ends without a word is no reason to wait, and is removed") {
  World world({kHasImage,
               kCreates,
               kRemoves,
               {"/start ", http(204, "")},
               {"GET /v1.41/containers/" + kMade, described(kMade, false)}});
  const auto error = world.failure();
  CHECK(error.code() == Errc::no_path);
  CHECK(world.asked("DELETE /v1.41/containers/" + kMade));
  CHECK_FALSE(world.left_a_socket());
}

TEST_CASE("a program that is missing or none is told before the engine is asked for anything") {
  World world({});
  world.write_program("#!/bin/sh\n");
  CHECK(world.failure().code() == Errc::failure);
  ::setenv("TC_HOSTNET_HANDOFF", "/nonexistent", 1);
  const auto error = world.failure();
  CHECK(error.code() == Errc::no_path);
  CHECK(error.hint().find("TC_HOSTNET_HANDOFF") != std::string::npos);
  CHECK(world.engine.requests().empty());
}

TEST_CASE("a hosts file that the user mounted is refused before anything is made") {
  World world({});
  world.target.hosts_mounted = true;
  const auto error = error_of([&] {
    hand_off(world.client, world.store, world.target,
             {.lease = "1", .name = "tc-hostnet-1", .hosts = true, .ports = {8080}}, soon());
  });
  CHECK(error.code() == Errc::conflict);
  CHECK(world.engine.requests().empty());
}
