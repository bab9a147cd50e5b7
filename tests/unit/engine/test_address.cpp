// Where the engine's socket is looked for.
#include "engine/client.hpp"
#include "hostnet/error.hpp"
#include "support/temp_dir.hpp"
#include "unit/engine/fake_engine.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <optional>

using namespace hostnet;
using engine::Address;

namespace {

// A variable of the environment for one test.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* was = std::getenv(name)) was_ = was;
    value != nullptr ? ::setenv(name, value, 1) : ::unsetenv(name);
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() { was_ ? ::setenv(name_, was_->c_str(), 1) : ::unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> was_;
};

Errc refusal(const char* docker_host) {
  const Variable docker("DOCKER_HOST", docker_host);
  try {
    const auto found = Address::find("");
    FAIL("found " << found.socket);
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find("DOCKER_HOST") != std::string::npos);
    CHECK_FALSE(error.hint().empty());
    return error.code();
  }
  throw std::logic_error("unreachable");
}

}  // namespace

TEST_CASE("what is given goes before DOCKER_HOST, that before CONTAINER_HOST") {
  const Variable container("CONTAINER_HOST", "unix:///run/c.sock");
  {
    const Variable docker("DOCKER_HOST", "unix:///run/d.sock");
    CHECK(Address::find("/run/e.sock").socket == "/run/e.sock");
    CHECK(Address::find("unix:///run/e.sock").socket == "/run/e.sock");
    CHECK(Address::find("unix:///run/e.sock").from == "--engine");
    CHECK(Address::find("").socket == "/run/d.sock");
    CHECK(Address::find("").from == "DOCKER_HOST");
  }
  const Variable docker("DOCKER_HOST", "");
  CHECK(Address::find("").socket == "/run/c.sock");
  CHECK(Address::find("").from == "CONTAINER_HOST");
}

TEST_CASE("engines elsewhere are unavailable, malformed addresses invalid") {
  for (const char* remote : {"tcp://127.0.0.1:2375", "ssh://me@elsewhere", "http://h", "https://h:2376"}) {
    CAPTURE(remote);
    CHECK(refusal(remote) == Errc::engine_unavailable);
  }
  for (const char* garbage :
       {"unix://", "unix:///", "unix://relative.sock", "unix:/run/docker.sock", "docker.sock",
        "npipe:////./pipe/docker_engine", "fd://", "://", " ", "unix:///run/dir/", "\x1b[31m"}) {
    CAPTURE(garbage);
    CHECK(refusal(garbage) == Errc::invalid_argument);
  }
  CHECK_THROWS_AS(Address::find(std::string_view("/run/a\0b", 8)), Error);
}

TEST_CASE(
    "the user's own socket is found where the variables are not set; else the error says where it looked") {
  const Variable docker("DOCKER_HOST", nullptr);
  const Variable container("CONTAINER_HOST", nullptr);
  const test::FakeEngine engine([](const std::string&, int) { return false; });
  const test::TempDir dir;
  const Variable runtime("XDG_RUNTIME_DIR", dir.path().c_str());
  const bool system_engine =
      std::filesystem::is_socket("/run/docker.sock") || std::filesystem::is_socket("/run/podman/podman.sock");

  std::filesystem::create_directory(dir.path() / "podman");
  const auto own = dir.path() / "podman" / "podman.sock";
  if (!system_engine) {
    try {
      Address::find("");
      FAIL("found");
    } catch (const Error& error) {
      CHECK(error.code() == Errc::engine_unavailable);
      for (const std::string& looked :
           {std::string("/run/docker.sock"), std::string("/run/podman/podman.sock"), own.string()})
        CHECK(std::string(error.what()).find(looked) != std::string::npos);
    }
  }
  std::filesystem::create_hard_link(engine.socket(), own);
  const auto found = Address::find("");
  CHECK(found.from == "default");
  CHECK(std::filesystem::is_socket(found.socket));
  if (!system_engine) CHECK(found.socket == own.string());
}
