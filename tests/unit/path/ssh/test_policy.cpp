// Who may connect, and to what.
#include "path/ssh/pump.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace hostnet::ssh;

namespace {

std::optional<std::vector<Ip>> only(std::string_view address) {
  return std::vector{Ip::parse(address).value()};
}

}  // namespace

TEST_CASE("without sources everybody may connect to the services, and to nothing else") {
  const Policy policy({{80, {.port = 8080}}, {81, {.path = "/run/x"}}}, std::nullopt);
  REQUIRE(policy.admit(80, "10.0.0.1") != nullptr);
  CHECK(policy.admit(80, "10.0.0.1")->port == 8080);
  CHECK(policy.admit(80, "anything")->port == 8080);
  CHECK(policy.admit(81, "10.0.0.1")->path == "/run/x");
  CHECK(policy.admit(8080, "10.0.0.1") == nullptr);
  CHECK(policy.admit(0, "10.0.0.1") == nullptr);
}

TEST_CASE("with sources only these may") {
  Policy policy({{80, {.port = 8080}}}, only("10.0.0.1"));
  CHECK(policy.admit(80, "10.0.0.1") != nullptr);
  for (const auto* stranger :
       {"10.0.0.2", "10.0.0.10", "", "10.0.0.1 ", "::1", "::ffff:10.0.0.1", "010.0.0.1", "x"})
    CHECK_MESSAGE(policy.admit(80, stranger) == nullptr, stranger);
  CHECK(policy.admit(81, "10.0.0.1") == nullptr);

  policy.set_sources(std::vector{Ip::parse("10.0.0.1").value(), Ip::parse("fd00::1").value()});
  CHECK(policy.admit(80, "10.0.0.1") != nullptr);
  CHECK(policy.admit(80, "fd00:0::1") != nullptr);
  for (const auto* stranger : {"fd00::2", "fe80::1", "fe80::1%eth0"})
    CHECK_MESSAGE(policy.admit(80, stranger) == nullptr, stranger);

  policy.set_sources(only("10.0.0.2"));
  CHECK(policy.admit(80, "10.0.0.1") == nullptr);
  CHECK(policy.admit(80, "10.0.0.2") != nullptr);
  policy.set_sources(std::vector<Ip>{});
  CHECK(policy.admit(80, "10.0.0.2") == nullptr);
  policy.set_sources(std::nullopt);
  CHECK(policy.admit(80, "10.0.0.1") != nullptr);
}

TEST_CASE("a network that the sidecar has joined for our sake is not the lease's") {
  const std::vector joined{Subnet::parse("172.17.0.0/16").value(), Subnet::parse("fd00:17::/64").value()};
  Policy policy({{80, {.port = 8080}}}, std::nullopt, joined);
  CHECK(policy.admit(80, "172.18.0.3") != nullptr);
  CHECK(policy.admit(80, "fd00:18::3") != nullptr);
  for (const auto* stranger : {"172.17.0.3", "172.17.255.255", "fd00:17::3", "", "x"})
    CHECK_MESSAGE(policy.admit(80, stranger) == nullptr, stranger);
  // A named source is meant, wherever it is.
  policy.set_sources(only("172.17.0.3"));
  CHECK(policy.admit(80, "172.17.0.3") != nullptr);
}
