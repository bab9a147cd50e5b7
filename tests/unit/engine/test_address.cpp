// Where the client looks for the engine's socket.
#include "engine/client.hpp"
#include "hostnet/error.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"
#include "unit/engine/environment.hpp"
#include "unit/engine/fake_engine.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

using namespace hostnet;
using engine::Address;
using test::Variable;

namespace {

// Hides the docker contexts of the user who runs the tests.
struct NoContexts {
  test::TempDir folder;
  Variable config{"DOCKER_CONFIG", folder.path().string()};
  Variable context{"DOCKER_CONTEXT", nullptr};
  Variable verify{"DOCKER_TLS_VERIFY", nullptr};
  Variable certificates{"DOCKER_CERT_PATH", nullptr};
};

void write_text(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

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

TEST_CASE("--engine overrides DOCKER_HOST, which overrides CONTAINER_HOST") {
  const NoContexts none;
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
  const NoContexts none;
  for (const char* remote : {"http://h", "https://h:2376"}) {
    CAPTURE(remote);
    CHECK(refusal(remote) == Errc::engine_unavailable);
  }
  for (const char* garbage : {"unix://",
                              "unix:///",
                              "unix://relative.sock",
                              "unix:/run/docker.sock",
                              "docker.sock",
                              "npipe:////./pipe/docker_engine",
                              "fd://",
                              "tcp://",
                              "tcp://:2375",
                              "tcp://h:0",
                              "tcp://h:65536",
                              "tcp://h:x",
                              "tcp://h:",
                              "tcp://h/v1",
                              "tcp://me@h:1",
                              "tcp://[::1",
                              "tcp://[h]:1",
                              "tcp://h:1?",
                              "tcp://h:1?tls=yes",
                              "tcp://h:1?tls=verified&ca=relative",
                              "tcp://h:1?tls=verified&cert=%2Fc",
                              "tcp://h:1?tls=none&ca=%2Fc",
                              "://",
                              " ",
                              "unix:///run/dir/",
                              "\x1b[31m"}) {
    CAPTURE(garbage);
    CHECK(refusal(garbage) == Errc::invalid_argument);
  }
  CHECK_THROWS_AS(Address::find(std::string_view("/run/a\0b", 8)), Error);
}

TEST_CASE("engines on the network, with and without TLS, and their text in a record") {
  const NoContexts none;
  const auto plain = Address::find("tcp://engine.example:1234");
  CHECK(plain.socket == "tcp://engine.example:1234");
  REQUIRE(plain.tcp);
  CHECK(plain.tcp->host == "engine.example");
  CHECK(plain.tcp->port == 1234);
  CHECK_FALSE(plain.tcp->tls);
  CHECK(plain.tcp->url() == "http://engine.example:1234");
  CHECK(Address::find("tcp://engine.example").tcp->port == 2375);
  CHECK(Address::find("tcp://[2001:db8::1]:2375").tcp->host == "2001:db8::1");
  CHECK(Address::find("tcp://[2001:db8::1]:2375").tcp->url() == "http://[2001:db8::1]:2375");
  for (const char* loopback : {"tcp://localhost", "tcp://127.1.2.3", "tcp://[::1]:5"})
    CHECK(Address::find(loopback).tcp->is_loopback());
  for (const char* other : {"tcp://engine.example", "tcp://192.0.2.1", "tcp://localhost.example"})
    CHECK_FALSE(Address::find(other).tcp->is_loopback());

  const auto pem = none.folder.path() / "a folder & more=100%";
  std::filesystem::create_directory(pem);
  const Variable folder("DOCKER_CERT_PATH", pem.string());
  const auto failure = [] { return test::error_of([] { Address::find("tcp://h"); }); };
  CHECK(failure().code() == Errc::engine_unavailable);
  CHECK(std::string(failure().what()).find("ca.pem") != std::string::npos);
  write_text(pem / "ca.pem", "");
  write_text(pem / "cert.pem", "");
  CHECK(std::string(failure().what()).find("cert.pem without key.pem") != std::string::npos);
  write_text(pem / "key.pem", "");
  const auto secured = Address::find("tcp://h");
  CHECK(secured.tcp->tls ==
        engine::Tls{.ca = pem / "ca.pem", .cert = pem / "cert.pem", .key = pem / "key.pem"});
  CHECK(secured.socket == "tcp://h:2376");
  CHECK(secured.tcp->url() == "https://h:2376");

  // Regardless of the environment at the time of reading.
  for (const auto& address : {plain, secured}) {
    const auto again = Address::recorded(address.text(), "the record");
    CHECK(again.socket == address.socket);
    CHECK(again.tcp == address.tcp);
    CHECK(again.from == "the record");
    CHECK(Address::find(address.text()).tcp == address.tcp);
  }
  CHECK(Address::recorded("/run/e.sock", "the record").text() == "/run/e.sock");
  auto unverified = secured;
  unverified.tcp->tls->verify = false;
  CHECK(Address::recorded(unverified.text(), "x").tcp == unverified.tcp);
}

TEST_CASE("DOCKER_TLS_VERIFY without a path means the certificates in docker's own folder") {
  const NoContexts none;
  const Variable verify("DOCKER_TLS_VERIFY", "1");
  CHECK(test::error_of([] { Address::find("tcp://h"); }).code() == Errc::engine_unavailable);
  write_text(none.folder.path() / "ca.pem", "");
  CHECK(Address::find("tcp://h").tcp->tls == engine::Tls{.ca = none.folder.path() / "ca.pem"});
  CHECK_FALSE(Address::find("/run/e.sock").tcp);
}

TEST_CASE("without the variables the user's own socket is found; otherwise the error lists the places") {
  const NoContexts none;
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
