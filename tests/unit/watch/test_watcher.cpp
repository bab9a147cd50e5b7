// A watcher with misbehaving engines. tests/e2e/test_watch.py runs it with real ones.
#include "core/json.hpp"
#include "hostnet/error.hpp"
#include "path/paths.hpp"
#include "support/expect_error.hpp"
#include "unit/engine/fake_engine.hpp"
#include "watch/watcher.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

using namespace hostnet;
using namespace hostnet::exposer;
using namespace std::chrono_literals;
using Kind = WatchEvent::Kind;
using test::FakeEngine;

namespace {

constexpr std::string_view kHeaders = "Api-Version: 1.41\r\nConnection: close\r\n";

// The fake serves one connection at a time, so it closes each after its answer.
FakeEngine::Serve serve(std::string events_answer) {
  return [events_answer = std::move(events_answer)](const std::string& request, int connection) {
    constexpr auto headers = kHeaders;
    if (request.find("/events?") != std::string::npos)
      test::send_bytes(connection, events_answer);
    else if (request.find("/containers/json?") != std::string::npos)
      test::send_bytes(connection, test::http(200, "[]", headers));
    else
      test::send_bytes(connection, test::http(200, "OK", headers));
    return false;
  };
}

// The engine reports one running container with this process, whose label requests a port, and serves nothing
// else.
FakeEngine::Serve serve_container(pid_t process, const char* ports = "8080", const char* name = nullptr) {
  auto container = json::parse(test::fixture("docker-container.json"));
  container["State"]["Pid"] = process;
  const json::Value labels{{kPortsLabel, ports}};
  container["Config"]["Labels"] = labels;
  if (name != nullptr) container["Name"] = name;
  const auto list = json::array({{{"Id", std::string(container.view().find("Id").text().value())},
                                  {"Names", json::array({"/c1"})},
                                  {"Labels", labels}}});
  return [container = container.dump(), list = list.dump()](const std::string& request, int connection) {
    const auto asks_for = [&](std::string_view what) { return request.find(what) != std::string::npos; };
    if (asks_for("/events?")) {
      test::send_bytes(connection, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      return true;
    }
    if (asks_for("/containers/json?"))
      test::send_bytes(connection, test::http(200, list, kHeaders));
    else if (asks_for("/containers/") && asks_for("/json"))
      test::send_bytes(connection, test::http(200, container, kHeaders));
    else
      test::send_bytes(connection, test::http(asks_for("/_ping") ? 200 : 404, "{}", kHeaders));
    return false;
  };
}

pid_t ended_process() {
  const auto process = ::fork();
  if (process == 0) ::_exit(0);
  ::waitpid(process, nullptr, 0);
  return process;
}

// The events within that time.
std::vector<WatchEvent> watch(const std::string& socket, std::chrono::milliseconds span,
                              const Allowance& allowance = {}, std::chrono::milliseconds list_period = 60s) {
  EventLoop loop;
  std::vector<WatchEvent> told;
  Watcher::Settings settings;
  const test::TempDir runtime_dir;
  settings.exposer.engine = socket;
  settings.order = {driver_of(Path::ssh)};
  settings.exposer.runtime_dir = runtime_dir.path().string();
  settings.trust_images = true;
  settings.allowance = allowance;
  settings.list_period = list_period;
  settings.on_event = [&](const WatchEvent& event) { told.push_back(event); };
  Watcher watcher(loop, std::move(settings));
  watcher.start();
  loop.after(span, [&] { loop.stop(); });
  loop.run();
  const auto end = watcher.finish();
  CHECK(end.failures == 0);
  CHECK_FALSE(end.stuck);
  return told;
}

std::ptrdiff_t count(const std::vector<WatchEvent>& told, Kind kind) {
  return std::ranges::count(told, kind, &WatchEvent::kind);
}

}  // namespace

TEST_CASE("an engine that refuses its event stream is retried with growing delays, and the reason reported") {
  const FakeEngine engine(serve(test::http(500, R"({"message":"no events are kept here"})")));
  const auto told = watch(engine.socket(), 2500ms);
  // After 0.2, 0.4 and 0.8 seconds.
  CHECK(count(told, Kind::engine_lost) >= 2);
  CHECK(count(told, Kind::engine_lost) <= 4);
  const auto lost = std::ranges::find(told, Kind::engine_lost, &WatchEvent::kind);
  CHECK(lost->reason.find("no events are kept here") != std::string::npos);
  CHECK(lost->engine == engine.socket());
  CHECK(count(told, Kind::watching) == 1);
}

TEST_CASE("invalid events count as a loss of the engine") {
  const FakeEngine engine(serve("HTTP/1.0 200 OK\r\n\r\nhello\n"));
  const auto told = watch(engine.socket(), 300ms);
  CHECK(count(told, Kind::engine_lost) >= 1);
  CHECK(count(told, Kind::failed) == 0);
}

TEST_CASE("an absent engine is reported lost once, however long it is absent") {
  const test::TempDir folder;
  const auto told = watch((folder.path() / "none.sock").string(), 1000ms);
  REQUIRE(told.size() == 1);
  CHECK(told.front().kind == Kind::engine_lost);
  CHECK_FALSE(told.front().hint.empty());
}

TEST_CASE("a permanent failure is thrown") {
  CHECK(test::error_of([] { watch("https://engine.invalid", 10ms); }).code() == Errc::engine_unavailable);
  CHECK(test::error_of([] { watch("relative", 10ms); }).code() == Errc::invalid_argument);
}

TEST_CASE("a failure is reported immediately") {
  const FakeEngine engine(serve_container(::getpid()));
  const auto told = watch(engine.socket(), 1000ms);
  CHECK(count(told, Kind::watching) == 1);
  REQUIRE(count(told, Kind::failed) == 1);
  CHECK(told.front().name == "c1");
}

TEST_CASE("a forbidden label is refused once per run, however often it is checked") {
  const FakeEngine engine(serve_container(::getpid(), "22,8080"));
  const auto told = watch(engine.socket(), 1000ms, {}, 50ms);
  REQUIRE(count(told, Kind::refused) == 1);
  CHECK(count(told, Kind::failed) == 0);
  CHECK(told.front().name == "c1");
  CHECK(told.front().ports == std::vector<HostPort>{{22, 22}});
  CHECK(told.front().reason.find("asks for 22/tcp") != std::string::npos);
  // With the port allowed, the same engine fails later, during expose.
  const auto allowed = watch(engine.socket(), 1000ms, Allowance::parse({"1-65535"}, {}));
  CHECK(count(allowed, Kind::refused) == 0);
  CHECK(count(allowed, Kind::failed) == 1);
}

TEST_CASE("a container's name may be anything") {
  const FakeEngine engine(serve_container(::getpid(), "8080",
                                          "/\x1b[31m\u202e\n"
                                          "äääääääääääääääääääääääääääääääääääääääääää"));
  const auto told = watch(engine.socket(), 1000ms);
  REQUIRE(count(told, Kind::failed) == 1);
  // The failure is not due to the name, from which the lease's label is made.
  CHECK(told.front().reason.find("printable") == std::string::npos);
}

TEST_CASE("an ended process is not yet a failure while the engine reports the container running") {
  const FakeEngine engine(serve_container(ended_process()));
  const auto told = watch(engine.socket(), 1000ms);
  CHECK(count(told, Kind::watching) == 1);
  CHECK(count(told, Kind::failed) == 0);
}

TEST_CASE("if the engine keeps reporting an absent process as running, the failure is reported") {
  const FakeEngine engine(serve_container(ended_process()));
  CHECK(count(watch(engine.socket(), 4000ms), Kind::failed) == 1);
}

TEST_CASE("an engine that never answers does not delay the watcher's end") {
  const FakeEngine engine([](const std::string&, int) { return true; });
  const auto begin = Deadline::Clock::now();
  CHECK(watch(engine.socket(), 300ms).empty());
  CHECK(Deadline::Clock::now() - begin < 5s);
}

TEST_CASE("a container that the engine does not describe delays no other") {
  auto others = serve_container(::getpid());
  const std::string slow(64, 'a');
  const std::string other(64, 'b');
  const FakeEngine engine([&](const std::string& request, int connection) {
    if (request.find(slow) != std::string::npos) return true;
    if (request.find("/containers/json?") == std::string::npos) return others(request, connection);
    auto list = json::array();
    for (const auto& id : {slow, other})
      list.push_back(
          {{"Id", id}, {"Names", json::array({"/" + id})}, {"Labels", json::Value{{kPortsLabel, "8080"}}}});
    test::send_bytes(connection, test::http(200, list.dump(), kHeaders));
    return false;
  });
  const auto told = watch(engine.socket(), 2000ms);
  // The watcher does not report that it watches all containers.
  REQUIRE(told.size() == 1);
  CHECK(told.front().kind == Kind::failed);
  CHECK(told.front().name == "c1");
}
