// Clashes between leases, as pure data.
#include "path/native/transaction.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace hostnet::exposer;

namespace {

firewall::Forward forward(const char* lease, std::uint16_t listen, std::uint16_t host,
                          std::optional<Ipv4> source = {}) {
  return {"br0", Ipv4{1}, source, Protocol::tcp, listen, host, lease};
}

}  // namespace

TEST_CASE("the same port to the same service is shared, to another it clashes") {
  const std::vector standing{forward("0a", 80, 8080)};
  CHECK_FALSE(find_clash(standing, {forward("0b", 80, 8080)}));
  CHECK_FALSE(find_clash(standing, {forward("0b", 81, 8081)}));
  const auto clash = find_clash(standing, {forward("0b", 81, 1), forward("0b", 80, 9090)});
  REQUIRE(clash);
  CHECK(clash->older == "0a");
  CHECK(clash->older_text() == "host port 8080");
  CHECK(clash->forward.host == 9090);
}

TEST_CASE("the same port number of two addresses clashes") {
  auto standing = forward("0a", 80, 8080);
  CHECK_FALSE(find_clash({standing}, {forward("0b", 80, 8080)}));
  standing.service = *Ipv4::parse("127.0.0.2");
  const auto clash = find_clash({standing}, {forward("0b", 80, 8080)});
  REQUIRE(clash);
  CHECK(clash->older_text() == "127.0.0.2:8080");
}

TEST_CASE("two containers may use one port for two services") {
  CHECK_FALSE(find_clash({forward("0a", 80, 1, Ipv4{2})}, {forward("0b", 80, 2, Ipv4{3})}));
  CHECK_FALSE(find_clash({forward("0a", 80, 1)}, {forward("0b", 80, 2, Ipv4{3})}));
}

TEST_CASE("requests of one call clash with each other too") {
  CHECK(find_clash({}, {forward("0a", 80, 1), forward("0b", 80, 2)}));
}
