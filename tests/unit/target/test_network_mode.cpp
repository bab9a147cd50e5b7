// Rejected network modes and their messages.
#include "hostnet/error.hpp"
#include "target/network_mode.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace hostnet;
using namespace hostnet::exposer;

TEST_CASE("network modes without a bridge are refused") {
  for (const char* mode : {"host", "none", "container:abc"}) {
    engine::Container container;
    container.name = "api";
    container.network_mode = mode;
    try {
      check_network_mode(container);
      FAIL("accepted ", mode);
    } catch (const Error& error) {
      // The relay serves a container without any network.
      CHECK(error.code() == (container.network_mode == "none" ? Errc::no_path : Errc::invalid_argument));
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
