// The calls of Containers against a fake engine: requests and results.
#include "engine/containers.hpp"
#include "engine/pull.hpp"
#include "hostnet/error.hpp"
#include "support/expect_error.hpp"
#include "unit/engine/fake_engine.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <atomic>
#include <functional>
#include <thread>

using namespace hostnet;
using namespace std::chrono_literals;
using engine::Client;
using engine::Containers;
using engine::Stream;
using test::code_of;
using test::FakeEngine;
using test::http;
using test::send_bytes;
using test::soon;

namespace {

std::string frame(char stream, std::string_view payload) {
  return std::string{stream, '\0', '\0', '\0', '\0', '\0', '\0', static_cast<char>(payload.size())}.append(
      payload);
}

// An engine that answers each request after the ping with the next of these answers, and its client.
struct World {
  explicit World(std::vector<std::string> answers)
      : engine([answers = std::move(answers), next = std::size_t{0}](const std::string& line,
                                                                     int connection) mutable {
          const bool ping = line.find("/_ping") != std::string::npos;
          send_bytes(connection, ping                    ? http(200, "OK", "Api-Version: 1.41\r\n")
                                 : next < answers.size() ? answers[next++]
                                                         : http(500, "no more answers"));
          return true;
        }),
        client({engine.socket(), "--engine"}),
        containers(client) {}

  // The first lines of the requests after the ping, without the protocol.
  [[nodiscard]] std::vector<std::string> asked() const {
    std::vector<std::string> lines;
    for (const auto& line : engine.requests())
      if (line.find("/_ping") == std::string::npos) lines.push_back(line.substr(0, line.rfind(' ')));
    return lines;
  }

  FakeEngine engine;
  Client client;
  Containers containers;
};

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("create sends the name beside the description, and returns the id") {
  World world(
      {http(201,
            R"({"Id":"abc0000000000000000000000000000000000000000000000000000000000000","Warnings":[]})"),
       http(201, R"({"Id":"def0000000000000000000000000000000000000000000000000000000000000"})")});
  CHECK(world.containers.create({.name = "a b", .image = "alpine"}, soon()) == "abc" + std::string(61, '0'));
  CHECK(world.containers.create({.image = "alpine"}, soon()) == "def" + std::string(61, '0'));
  CHECK(world.asked() == Lines{"POST /v1.41/containers/create?name=a%20b", "POST /v1.41/containers/create"});
  CHECK(world.engine.bodies()[1] == R"({"HostConfig":{},"Image":"alpine"})");
}

TEST_CASE("create: a missing image, a taken name, an answer without an id") {
  World world({http(404, R"({"message":"No such image: alpine:9"})"),
               http(409, R"({"message":"The name is already in use"})"), http(201, "{}")});
  const auto create = [&] { world.containers.create({.name = "a", .image = "alpine:9"}, soon()); };
  CHECK(code_of(create) == Errc::not_found);
  CHECK(code_of(create) == Errc::conflict);
  CHECK(code_of(create) == Errc::engine_error);
}

TEST_CASE("start, stop and kill; a state already reached is not an error") {
  World world({http(204, ""), "HTTP/1.1 304 Not Modified\r\n\r\n", http(204, ""),
               "HTTP/1.1 304 Not Modified\r\n\r\n", http(204, ""),
               http(409, R"({"message":"not running"})")});
  world.containers.start("c", soon());
  world.containers.start("c", soon());
  world.containers.stop("c", 3s, soon());
  world.containers.stop("c", -1s, soon());
  world.containers.kill("c/d", "SIGTERM", soon());
  CHECK(code_of([&] { world.containers.kill("c", "SIG&x=1", soon()); }) == Errc::conflict);
  CHECK(world.asked() == Lines{"POST /v1.41/containers/c/start", "POST /v1.41/containers/c/start",
                               "POST /v1.41/containers/c/stop?t=3", "POST /v1.41/containers/c/stop?t=0",
                               "POST /v1.41/containers/c%2Fd/kill?signal=SIGTERM",
                               "POST /v1.41/containers/c/kill?signal=SIG%26x%3D1"});
  CHECK(code_of([&] { world.containers.start("", soon()); }) == Errc::invalid_argument);
}

TEST_CASE("remove says whether there was anything to remove") {
  World world({http(204, ""), http(404, R"({"message":"No such container: c"})"),
               http(409, R"({"message":"removal of container c is already in progress"})"),
               http(409, R"({"message":"somebody minds"})"), http(500, "{}")});
  CHECK(world.containers.remove("c", soon()));
  CHECK_FALSE(world.containers.remove("c", soon()));
  CHECK_FALSE(world.containers.remove("c", soon()));
  CHECK(code_of([&] { world.containers.remove("c", soon()); }) == Errc::conflict);
  CHECK(code_of([&] { world.containers.remove("c", soon()); }) == Errc::engine_error);
  CHECK(world.asked().front() == "DELETE /v1.41/containers/c?force=true&v=true&volumes=true&timeout=0");
}

TEST_CASE("remove uses Podman's own API") {
  const FakeEngine engine(test::serve_paths({{"/v4.3.1/libpod/containers/c", "[]"}},
                                            "Api-Version: 1.41\r\nLibpod-Api-Version: 4.3.1\r\n"));
  Client client({engine.socket(), "--engine"});
  CHECK(Containers(client).remove("c", soon()));
}

TEST_CASE("Podman's status 500 for errors with their own code") {
  const auto answer = [](const char* cause) {
    return http(500, fmt::format(R"({{"cause":"{}","message":"words: {}","response":500}})", cause, cause));
  };
  World world({answer("container state improper"), answer("network not found"), answer("no such container"),
               answer("that name is already in use"), answer("disk on fire"), http(500, R"({"cause":7})")});
  const auto start = [&] { world.containers.start("c", soon()); };
  CHECK_THROWS_WITH_AS(start(), "words: container state improper", Error);
  CHECK(code_of(start) == Errc::not_found);
  CHECK(code_of(start) == Errc::not_found);
  CHECK(code_of(start) == Errc::conflict);
  CHECK(code_of(start) == Errc::engine_error);
  CHECK(code_of(start) == Errc::engine_error);
}

TEST_CASE("Docker's error that means the container's end") {
  World world(
      {http(500, R"({"message":"Container 8ff57f8bcd00 is not running: Exited (3) Less than a second ago"})"),
       http(500, R"({"message":"Container 8ff57f8bcd00 is on fire"})"), http(500, "is not running")});
  const auto start = [&] { world.containers.start("c", soon()); };
  CHECK(code_of(start) == Errc::conflict);
  CHECK(code_of(start) == Errc::engine_error);
  CHECK(code_of(start) == Errc::engine_error);
}

TEST_CASE("wait returns the exit code, and its error names the call") {
  World world({http(200, R"({"StatusCode":137})"), http(200, R"({"Error":{"Message":"gone"}})")});
  CHECK(world.containers.wait("c", soon()) == 137);
  CHECK_THROWS_WITH_AS(
      world.containers.wait("c", soon()),
      fmt::format("POST /v1.41/containers/c/wait on {}: gone", world.engine.socket()).c_str(), Error);
}

TEST_CASE("output: the last lines, or all of it as it arrives") {
  const auto stream = frame(1, "one\n") + frame(2, "two\n");
  World world({http(200, stream), http(200, stream), http(200, stream), http(200, "plain"),
               http(200, frame(1, "x").substr(0, 5)), http(200, frame(1, "x").substr(0, 5))});
  CHECK(world.containers.last_output("c", 20, soon()) == "one\ntwo\n");
  std::string followed;
  world.containers.follow_output(
      "c",
      [&](Stream which, std::string_view piece) {
        followed += (which == Stream::out ? "out " : "err ") + std::string(piece);
      },
      soon());
  CHECK(followed == "out one\nerr two\n");
  CHECK(code_of([&] { world.containers.last_output("c", 1, soon()); }) == Errc::engine_error);
  CHECK(code_of([&] { world.containers.last_output("c", 1, soon()); }) == Errc::engine_error);
  CHECK(code_of([&] {
          world.containers.follow_output(
              "c", [](Stream, auto) {}, soon());
        }) == Errc::engine_error);
  CHECK(world.asked()[0] == "GET /v1.41/containers/c/logs?stdout=1&stderr=1&tail=20");
  CHECK(world.asked()[1] == "GET /v1.41/containers/c/logs?stdout=1&stderr=1&follow=1");
  CHECK(world.asked()[2] == "GET /v1.41/containers/c/logs?stdout=1&stderr=1");
}

TEST_CASE("output that an engine truncates at the container's end, or Podman follows beyond it") {
  std::string state = "running";
  bool open = true;
  std::string version = "Api-Version: 1.41\r\nLibpod-Api-Version: 4.3.1\r\n";
  const FakeEngine engine([&](const std::string& line, int connection) {
    const auto whole = frame(1, "one\n") + frame(2, "two\n");
    if (line.find("/_ping") != std::string::npos) {
      send_bytes(connection, http(200, "OK", version));
    } else if (line.find("follow=1") != std::string::npos) {
      send_bytes(connection, "HTTP/1.1 200 OK\r\n\r\n" + frame(1, "one\n"));
      return open;
    } else if (line.find("/logs") != std::string::npos) {
      send_bytes(connection, http(200, whole));
    } else {
      auto inspected = test::fixture("podman-container.json");
      const std::string running = R"("Status":"running")";
      inspected.replace(inspected.find(running), running.size(), fmt::format(R"("Status":"{}")", state));
      send_bytes(connection, http(200, inspected));
      state = "exited";
    }
    return true;
  });
  SUBCASE("followed on") {}
  SUBCASE("truncated by Podman") { open = false; }
  SUBCASE("truncated by Docker") {
    open = false;
    version = "Api-Version: 1.41\r\n";
  }
  Client client({engine.socket(), "--engine"});
  std::string followed;
  Containers(client).follow_output(
      "c",
      [&](Stream which, std::string_view piece) {
        followed += (which == Stream::out ? "out " : "err ") + std::string(piece);
      },
      soon());
  CHECK(followed == "out one\nerr two\n");
}

TEST_CASE("exec: both outputs separate, and the exit code once the engine has it") {
  World world({http(201, R"({"Id":"e100000000000000000000000000000000000000000000000000000000000000"})"),
               http(200, frame(2, "err") + frame(1, "out")), http(200, R"({"Running":true,"ExitCode":null})"),
               http(200, R"({"Running":false,"ExitCode":3})")});
  const auto result = world.containers.exec("c", {.command = {"id"}}, soon());
  CHECK(result.exit_code == 3);
  CHECK(result.out == "out");
  CHECK(result.err == "err");
  CHECK(world.asked() ==
        Lines{"POST /v1.41/containers/c/exec",
              "POST /v1.41/exec/e100000000000000000000000000000000000000000000000000000000000000/start",
              "GET /v1.41/exec/e100000000000000000000000000000000000000000000000000000000000000/json",
              "GET /v1.41/exec/e100000000000000000000000000000000000000000000000000000000000000/json"});
  CHECK(world.engine.bodies()[2] == R"({"Detach":false,"Tty":false})");
}

TEST_CASE("exec in a container that does not run, and output without an end") {
  World stopped({http(409, R"({"message":"container c is not running"})")});
  CHECK(code_of([&] { stopped.containers.exec("c", {.command = {"id"}}, soon()); }) == Errc::conflict);

  const std::string megabyte(1U << 20, 'x');
  std::string endless;
  for (int i = 0; i < 17; ++i) endless += std::string("\1\0\0\0\0\x10\0\0", 8) + megabyte;
  World flooded({http(201, R"({"Id":"e100000000000000000000000000000000000000000000000000000000000000"})"),
                 http(200, endless)});
  CHECK_THROWS_WITH_AS(flooded.containers.exec("c", {.command = {"yes"}}, soon()),
                       "the output of a command in the container grew too large", Error);
}

TEST_CASE("list asks for all containers with the labels") {
  World world({http(
      200, R"([{"Id":"1000000000000000000000000000000000000000000000000000000000000000","Names":["/a"]}])")});
  const auto list = world.containers.list({"a=b"}, soon());
  REQUIRE(list.size() == 1);
  CHECK(list.front().name == "a");
  CHECK(world.asked() ==
        Lines{"GET /v1.41/containers/json?all=1&filters=%7B%22label%22%3A%5B%22a%3Db%22%5D%7D"});
}

TEST_CASE("a container named in an error is not removed; the hint gives the command that does") {
  const std::string id(64, '1');
  const auto said = [](const std::string& name) {
    return http(500, fmt::format(R"({{"cause":"container not known","response":500,"message":)"
                                 R"("getting container from store \"{}\": container not known"}})",
                                 name));
  };
  World world({said(id), said("somebody-elses-database"), said(std::string(64, 'x')),
               http(500, R"({"message":"disk on fire"})")});
  const auto error = [&] {
    try {
      world.containers.list({"a=b"}, soon());
    } catch (const Error& caught) {
      return caught;
    }
    FAIL("the listing succeeded");
    throw std::logic_error("unreachable");
  };
  const auto half = error();
  CHECK(half.code() == Errc::engine_error);
  CHECK(half.hint().ends_with("podman rm -f " + id));
  // Text that is not an id never goes into a command line.
  for (int i = 0; i < 3; ++i) CHECK(error().hint().empty());
  for (const auto& asked : world.asked()) CHECK(asked.starts_with("GET "));
}

TEST_CASE("image presence, and the progress of a pull") {
  World world({http(200, "{}"), http(404, R"({"message":"No such image"})"), http(500, "{}"),
               http(200, R"({"status":"Pulling"})"
                         "\r\n"
                         R"({"status":"Done"})"),
               http(200, R"({"status":"Pulling"})"
                         "\n"
                         R"({"error":"no route to host"})"),
               http(500, R"({"message":"no such host"})")});
  CHECK(world.containers.has_image("team/app:1", soon()));
  CHECK_FALSE(world.containers.has_image("team/app:1", soon()));
  CHECK(code_of([&] { world.containers.has_image("team/app:1", soon()); }) == Errc::engine_error);
  Lines lines;
  const auto pull = [&] {
    world.containers.pull(
        "team/app", [&](std::string_view line) { lines.emplace_back(line); }, soon());
  };
  pull();
  CHECK(lines == Lines{"Pulling", "Done"});
  CHECK(code_of(pull) == Errc::engine_error);
  CHECK(code_of(pull) == Errc::engine_error);
  CHECK(world.asked()[0] == "GET /v1.41/images/team%2Fapp%3A1/json");
  CHECK(world.asked()[3] == "POST /v1.41/images/create?fromImage=team%2Fapp&tag=latest");
}

TEST_CASE("a pull is told while the engine says nothing") {
  std::atomic<bool> told = false;
  const FakeEngine* self = nullptr;
  const FakeEngine silent([&](const std::string& line, int connection) {
    if (line.find("/_ping") != std::string::npos) {
      send_bytes(connection, http(200, "OK", "Api-Version: 1.41\r\n"));
      return true;
    }
    send_bytes(connection, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (!told && !self->ending()) std::this_thread::sleep_for(1ms);
    send_bytes(connection, "0\r\n\r\n");
    return true;
  });
  self = &silent;
  std::string shown;
  engine::set_pull_display([&](std::string_view line) {
    if (!told) shown = line;
    told = true;
  });
  Client client({silent.socket(), "--engine"});
  Containers(client).pull("team/app", {}, Deadline::after(10s));
  engine::set_pull_display(nullptr);
  CHECK(shown == "pulling team/app");
}

TEST_CASE("files are unpacked by PUT, with the archive unchanged") {
  World world({http(200, "")});
  world.containers.unpack("0a", "/a b", std::string("tar\0tar", 7), soon());
  CHECK(world.asked() == Lines{"PUT /v1.41/containers/0a/archive?path=%2Fa%20b"});
  CHECK(world.engine.bodies().back() == std::string("tar\0tar", 7));
  World gone({http(404, R"({"message":"no such folder"})")});
  CHECK(code_of([&] { gone.containers.unpack("0a", "/x", "", soon()); }) == Errc::not_found);
}

TEST_CASE("output so far, both streams separate") {
  World world({http(200, frame('\1', "one\n") + frame('\2', "two\n") + frame('\1', "three\n"))});
  const auto output = world.containers.output("0a", soon());
  CHECK(output.out == "one\nthree\n");
  CHECK(output.err == "two\n");
}

TEST_CASE("only Podman starts in two steps") {
  World world({});
  CHECK(code_of([&] { world.containers.init("0a", soon()); }) == Errc::engine_error);
}
