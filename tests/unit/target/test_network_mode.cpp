// Rejected network modes and their messages.
#include "hostnet/error.hpp"
#include "target/network_mode.hpp"
#include "unit/engine/fake_engine.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace hostnet;
using namespace hostnet::exposer;

TEST_CASE("network modes without a bridge are refused") {
  for (const char* mode : {"host", "none", "container:abc", "slirp4netns", "slirp4netns:mtu=1500", "pasta"}) {
    engine::Container container;
    container.name = "api";
    container.network_mode = mode;
    try {
      check_network_mode(container);
      FAIL("accepted ", mode);
    } catch (const Error& error) {
      // The relay serves a container without any network.
      const bool has_own =
          container.network_mode != "host" && !container.network_mode.starts_with("container:");
      CHECK(error.code() == (has_own ? Errc::no_path : Errc::invalid_argument));
      CHECK_FALSE(error.hint().empty());
    }
  }
  engine::Container container;
  container.network_mode = "host";
  const auto said_of = [&](bool own_loopback) -> std::string {
    try {
      check_network_mode(container, own_loopback);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  CHECK(said_of(false).find("reaches 127.0.0.1 as it is") != std::string::npos);
  CHECK(said_of(true).find("is not known to be this one") != std::string::npos);
  for (const char* mode : {"bridge", "default", "web", "container", "hosts"}) {
    container.network_mode = mode;
    CHECK_NOTHROW(check_network_mode(container));
  }
}

TEST_CASE(
    "whose 127.0.0.1 a container on the host's network has is asked of the engine only for such a "
    "container") {
  const test::FakeEngine engine(test::serve_paths(
      {{"/v1.41/info", R"({"SecurityOptions":["name=seccomp,profile=default","name=rootless"]})"}},
      "Api-Version: 1.41\r\n"));
  engine::Client client({engine.socket(), "--engine"});
  engine::Container container;
  container.network_mode = "web";
  CHECK_NOTHROW(check_network_mode(client, container, test::soon()));
  CHECK(engine.requests().empty());
  container.network_mode = "host";
  const auto said_at = [&](engine::Client& of) -> std::string {
    try {
      check_network_mode(of, container, test::soon());
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  engine::Client by_tcp(engine::Address::find("tcp://198.18.0.1:2375"));
  CHECK(said_at(by_tcp).find("is not known to be this one") != std::string::npos);
  CHECK_FALSE(said_at(client).empty());
}
