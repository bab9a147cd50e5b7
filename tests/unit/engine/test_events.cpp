// Events from real engines, and event streams of a fake engine.
#include "engine/events.hpp"
#include "hostnet/error.hpp"
#include "support/expect_error.hpp"
#include "unit/engine/fake_engine.hpp"

#include <doctest/doctest.h>
#include <poll.h>

#include <algorithm>
#include <string>
#include <vector>

using namespace hostnet;
using namespace std::chrono_literals;
using engine::Event;
using engine::EventReader;
using test::FakeEngine;
using test::send_bytes;

namespace {

constexpr std::string_view kStart =
    R"({"Type":"container","Action":"start","Actor":{"Attributes":{"name":"app"},"ID":)"
    R"("c0ffee0000000000000000000000000000000000000000000000000000000000"}})";

std::vector<Event> events_of(std::string_view text, std::size_t piece = 7) {
  std::vector<Event> events;
  EventReader reader;
  for (std::size_t at = 0; at < text.size(); at += piece)
    reader.feed(text.substr(at, piece), [&](const Event& event) { events.push_back(event); });
  return events;
}

std::vector<std::string> actions(const std::vector<Event>& events) {
  std::vector<std::string> out;
  for (const auto& event : events) out.push_back(event.action);
  return out;
}

// Waits for data, then returns whether the stream continues.
bool wait_and_read(engine::EventStream& stream, std::vector<Event>& into) {
  pollfd poll{stream.fd(), POLLIN, 0};
  REQUIRE(::poll(&poll, 1, 5000) == 1);
  return stream.read([&](const Event& event) { into.push_back(event); });
}

// The result of reading this answer to its end.
std::vector<Event> read_all(std::string answer) {
  const FakeEngine engine([answer = std::move(answer)](const std::string&, int connection) {
    send_bytes(connection, answer);
    return false;
  });
  engine::EventStream stream({engine.socket(), "--engine"}, "/v1.41", 1700000000, Deadline::after(5s));
  std::vector<Event> events;
  while (wait_and_read(stream, events)) {
  }
  CHECK(engine.requests().at(0) == "GET /v1.41/events?since=1700000000 HTTP/1.0");
  return events;
}

}  // namespace

TEST_CASE("Docker's events") {
  const auto events = events_of(test::fixture("docker-events.jsonl"));
  CHECK(actions(events) == std::vector<std::string>{"create", "start", "exec_create", "die", "destroy"});
  const auto& start = events.at(1);
  CHECK(start.is_start());
  CHECK_FALSE(start.is_end());
  CHECK(start.container.size() == 64);
  CHECK(start.name == "app");
  CHECK(start.attributes.at("io.github.tchostnet.ports") == "8080");
  CHECK(events.at(3).is_end());
  CHECK(events.at(4).is_end());
  CHECK_FALSE(events.at(2).is_end());
}

TEST_CASE("Podman's events") {
  const auto events = events_of(test::fixture("podman-events.jsonl"), 1000);
  for (const auto& event : events) CHECK(event.container.size() == 64);
  const auto told = actions(events);
  for (const char* action : {"create", "start", "exec", "die", "remove"})
    CHECK(std::ranges::count(told, action) == 1);
  for (const auto& event : events) {
    CHECK(event.is_start() == (event.action == "start"));
    CHECK(event.is_end() == (event.action == "die" || event.action == "remove"));
  }
}

TEST_CASE("a container that joins or leaves a network") {
  const std::string id(64, 'c');
  // As Docker 20.10 and Podman 4.3 write them.
  const auto docker = events_of(
      R"({"Type":"network","Action":"connect","Actor":{"ID":"ab12","Attributes":{"name":"web","container":")" +
      id +
      R"("}}})"
      "\n"
      R"({"Type":"network","Action":"connect","Actor":{"ID":"ab12","Attributes":{"container":"ingress-sbox"}}})"
      "\n");
  REQUIRE(docker.size() == 1);
  CHECK(docker[0].is_move());
  CHECK_FALSE((docker[0].is_start() || docker[0].is_end()));
  CHECK(docker[0].container == id);
  CHECK(docker[0].network == "ab12");
  const auto podman = events_of(R"({"Type":"network","Action":"disconnect","Actor":{"ID":")" + id +
                                R"(","Attributes":{"image":"","name":"app"}}})"
                                "\n");
  REQUIRE(podman.size() == 1);
  CHECK(podman[0].is_move());
  CHECK(podman[0].container == id);
  CHECK(podman[0].name == "app");
  CHECK(podman[0].network.empty());
}

TEST_CASE("events of other objects and empty lines are skipped, and invalid lines refused") {
  CHECK(events_of("\n\r\n{\"Type\":\"network\",\"Action\":\"create\",\"Actor\":{\"ID\":\"\"}}\n").empty());
  CHECK(events_of(std::string(kStart)).empty());  // not ended yet
  CHECK(events_of(std::string(kStart) + "\n").size() == 1);
  for (const std::string_view wrong : {"hello\n", "[]\n", "{}\n",
                                       R"({"Type":"container","Action":7,"Actor":{"ID":"0"}})"
                                       "\n",
                                       R"({"Type":"container","Action":"start"})"
                                       "\n",
                                       // It comes into the paths of requests.
                                       R"({"Type":"container","Action":"start","Actor":{"ID":"../networks"}})"
                                       "\n"})
    CHECK(test::error_of([&] { events_of(wrong); }).code() == Errc::engine_error);
  CHECK(test::error_of([] { events_of(std::string(3U << 20, 'x'), 1U << 16); }).code() == Errc::engine_error);
}

TEST_CASE("a stream delivers events until its end") {
  const auto line = std::string(kStart) + "\n";
  CHECK(read_all("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + line + line).size() == 2);
  CHECK(read_all("HTTP/1.0 200 OK\r\n\r\n").empty());
}

TEST_CASE("a refused stream carries the engine's reason") {
  const auto error = [](std::string answer) { return test::error_of([&] { read_all(std::move(answer)); }); };
  const auto refused = error("HTTP/1.0 500 Oops\r\n\r\n{\"message\":\"events are switched off\"}");
  CHECK(refused.code() == Errc::engine_error);
  CHECK(std::string(refused.what()).find("events are switched off") != std::string::npos);
  CHECK(error("HTTP/1.0 404 Not Found\r\n\r\n").code() == Errc::not_found);
  CHECK(error("").code() == Errc::engine_error);
  CHECK(error("HTTP/1.0 200").code() == Errc::engine_error);
  CHECK(error("SSH-2.0-x\r\n\r\n").code() == Errc::engine_error);
  CHECK(error(std::string(100'000, 'h')).code() == Errc::engine_error);
}

TEST_CASE("reading does not block") {
  const FakeEngine engine([&](const std::string&, int connection) {
    send_bytes(connection, "HTTP/1.0 200 OK\r\n\r\n");
    return true;
  });
  engine::EventStream stream({engine.socket(), "--engine"}, "", 0, Deadline::after(5s));
  std::vector<Event> events;
  CHECK(wait_and_read(stream, events));
  CHECK(stream.read([](const Event&) {}));
  CHECK(events.empty());
}

TEST_CASE("no listener on the socket") {
  CHECK(test::error_of([] {
          engine::EventStream({"/nosuch.sock", "--engine"}, "", 0, Deadline::after(1s));
        }).code() == Errc::engine_unavailable);
}
