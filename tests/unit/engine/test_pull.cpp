// Image names, and the report of a pull: its lines, errors, and invalid input.
#include "engine/pull.hpp"
#include "hostnet/error.hpp"
#include "support/text.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

using namespace hostnet;
using engine::ImageName;
using engine::PullReader;
using test::contains;

namespace {

const std::string kReport =
    R"({"status":"Pulling from library/alpine","id":"3.19"})"
    "\r\n"
    R"({"status":"Downloading","progressDetail":{"current":12345678,"total":40000000},"progress":"[=>  ]","id":"3f1a"})"
    "\r\n"
    R"({"status":"Extracting","progressDetail":{"current":2048},"id":"3f1a"})"
    "\r\n\r\n"
    R"({"status":"Pull complete","progressDetail":{},"id":"3f1a"})"
    "\n"
    R"({"status":"Status: Downloaded newer image"})";

const std::vector<std::string> kLines{"3.19: Pulling from library/alpine", "3f1a: Downloading 12 MB of 40 MB",
                                      "3f1a: Extracting 2 kB", "3f1a: Pull complete",
                                      "Status: Downloaded newer image"};

std::vector<std::string> lines_of(const std::vector<std::string>& pieces) {
  std::vector<std::string> lines;
  const engine::ProgressSink sink = [&](std::string_view line) { lines.emplace_back(line); };
  PullReader reader("alpine:3.19", sink);
  for (const auto& piece : pieces) reader.feed(piece);
  reader.finish();
  return lines;
}

std::string pull_fault(const std::string& text) {
  try {
    lines_of({text});
  } catch (const Error& error) {
    CHECK(error.code() == Errc::engine_error);
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("an image's name is split from its tag or digest") {
  const auto parts = [](std::string_view reference) {
    const auto name = ImageName::parse(reference);
    return name.repository + " " + name.tag;
  };
  CHECK(parts("alpine") == "alpine latest");
  CHECK(parts("alpine:3.19") == "alpine 3.19");
  CHECK(parts("testcontainers/sshd:1.3.0") == "testcontainers/sshd 1.3.0");
  CHECK(parts("registry.example:5000/team/app") == "registry.example:5000/team/app latest");
  CHECK(parts("registry.example:5000/team/app:1") == "registry.example:5000/team/app 1");
  CHECK(parts("app@sha256:abcd") == "app sha256:abcd");
  CHECK(parts("app:1@sha256:abcd") == "app:1 sha256:abcd");
  CHECK(parts("localhost/my_app--x:V1.2") == "localhost/my_app--x V1.2");
  CHECK(parts("Registry.Example/app") == "Registry.Example/app latest");
  CHECK(parts("[::1]:5000/app:1") == "[::1]:5000/app 1");
  for (const char* wrong :
       {"", ":", "app:", ":1", "@sha256:abcd", "app@", "Bad Image", "App", "team/App", "a//b", "/app", "app/",
        "-app", "app:a b", "app:-1", "app@sha256", "app@sha256:xyz", "bad host.example/app", "$(id)"}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(ImageName::parse(wrong), Error);
  }
}

TEST_CASE("a report gives one line per object, at any split") {
  CHECK(lines_of({kReport}) == kLines);
  for (std::size_t cut = 0; cut <= kReport.size(); ++cut)
    REQUIRE(lines_of({kReport.substr(0, cut), kReport.substr(cut)}) == kLines);
  CHECK(lines_of({}).empty());
  CHECK(lines_of({"{}\n{\"stream\":\"x\"}\n"}).empty());
}

TEST_CASE("a report works without a sink") {
  const engine::ProgressSink nobody;
  PullReader reader("alpine", nobody);
  reader.feed(kReport);
  CHECK_NOTHROW(reader.finish());
}

TEST_CASE("layers and bytes are added up") {
  engine::PullTally tally;
  CHECK(tally.text().empty());
  tally.add("3.19", "Pulling from library/alpine", std::nullopt, std::nullopt);
  CHECK(tally.text().empty());
  tally.add("a", "Pulling fs layer", std::nullopt, std::nullopt);
  tally.add("b", "Already exists", std::nullopt, std::nullopt);
  CHECK(tally.text() == "1 of 2 layers, 0 kB of 0 kB");
  tally.add("a", "Downloading", 12'000'000, 40'000'000);
  CHECK(tally.text() == "1 of 2 layers, 12 MB of 40 MB");
  tally.add("a", "Download complete", std::nullopt, std::nullopt);
  tally.add("a", "Extracting", 1'000'000, 40'000'000);  // the same bytes once more
  CHECK(tally.text() == "1 of 2 layers, 40 MB of 40 MB");
  tally.add("a", "Pull complete", std::nullopt, std::nullopt);
  CHECK(tally.text() == "2 of 2 layers, 40 MB of 40 MB");
  tally.add("c", "Downloading", INT64_MAX, INT64_MAX);  // an engine's nonsense
  tally.add("d", "Downloading", INT64_MAX, INT64_MAX);
  CHECK(tally.text().starts_with("2 of 4 layers, "));
  for (int i = 0; i < 5000; ++i) tally.add(std::to_string(i), "Waiting", std::nullopt, std::nullopt);
  CHECK(contains(tally.text(), "of 1000 layers"));
}

TEST_CASE("progress is told at once and often on a terminal, once a minute elsewhere") {
  using namespace std::chrono_literals;
  const engine::PullReport::Clock::time_point begin{};
  engine::PullTally tally;
  tally.add("a", "Downloading", 1'000'000, 2'000'000);
  engine::PullReport drawn("alpine:3.19", begin);
  CHECK(drawn.due(tally, true, begin) == "pulling alpine:3.19: 0 of 1 layers, 1 MB of 2 MB");
  CHECK_FALSE(drawn.due(tally, true, begin + 99ms));
  CHECK(drawn.due(tally, true, begin + 100ms));
  engine::PullReport logged("alpine:3.19", begin);
  CHECK_FALSE(logged.due(tally, false, begin));
  CHECK_FALSE(logged.due(tally, false, begin + 59s));
  CHECK(logged.due(tally, false, begin + 60s));
  CHECK_FALSE(logged.due(tally, false, begin + 119s));
  CHECK(logged.due(tally, false, begin + 120s));
}

TEST_CASE("a failed pull has a next step") {
  using engine::pull_hint;
  CHECK(contains(pull_hint("r.example:5000/app:1", "Get https://…: dial tcp: lookup r.example: no such host"),
                 "does not reach r.example:5000"));
  CHECK(contains(
      pull_hint("app:1",
                "pull access denied for app, repository does not exist or may require 'docker login'"),
      "docker login docker.io"));
  CHECK(contains(pull_hint("localhost/app", "UNAUTHORIZED: authentication required"),
                 "docker login localhost"));
  CHECK(contains(pull_hint("team/app:1", "manifest for team/app:1 not found: manifest unknown"),
                 "docker.io does not have it"));
  CHECK(contains(pull_hint("app", "no space left on device"), "check the name 'app'"));
}

TEST_CASE("an error object becomes an error with the engine's text") {
  CHECK(pull_fault(R"({"errorDetail":{"message":"no space left"},"error":"no space left"})") ==
        "'alpine:3.19' cannot be pulled: no space left");
  CHECK(contains(pull_fault(kReport + "\n" + R"({"error":"two\nlines"})" + "\n"), "pulled: two lines"));
  CHECK(contains(pull_fault(R"({"errorDetail":{"code":1,"message":"denied"}})"), "pulled: denied"));
  CHECK(pull_fault(R"({"error":")" + std::string(5000, 'x') + "\"}").size() < 500);
}

TEST_CASE("invalid input is refused, and an endless object is not waited for") {
  for (const std::string text : {"<html>", "[]", "{\"status\":7}", "{\"error\":[]}", "{\"progressDetail\":1}",
                                 "{\"progressDetail\":{\"current\":-1}}", "{\"id\":", "\xff"})
    CHECK(pull_fault(text) != "accepted");
  CHECK(contains(pull_fault("{\"status\":\"" + std::string(2U << 20, 'x')), "an object without an end"));
}

TEST_CASE("a progress line is one line of bounded length") {
  const auto lines = lines_of({R"({"status":"a\u001b[31m\nb","id":")" + std::string(5000, 'x') + "\"}"});
  REQUIRE(lines.size() == 1);
  CHECK(lines.front().size() < 410);
  CHECK(lines_of({R"({"status":"a\u001b[31m\nb"})"}) == std::vector<std::string>{"a\\x1b[31m b"});
}
