// Leases that may share the alias.
#include "lease/same_ports.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

using namespace hostnet;
using namespace hostnet::exposer;

TEST_CASE("leases with exactly the same ports, while they live") {
  const std::vector<HostPort> one{HostPort::same(80)};
  const std::vector<HostPort> both{HostPort::same(80), HostPort::same(81)};
  const std::vector<HostPort> turned{HostPort::same(81), HostPort::same(80)};
  CHECK(names_beside(one).empty());
  auto first = std::make_unique<KnownLease>();
  CHECK(names_beside(one).empty());
  first->set("aa", both);
  KnownLease second;
  second.set("bb", one);
  CHECK(names_beside(one) == std::vector<std::string>{"bb"});
  CHECK(names_beside(turned) == std::vector<std::string>{"aa"});
  second.set("bb", turned, {"192.0.2.1"});
  CHECK(names_beside(both).size() == 3);
  first.reset();
  CHECK(names_beside(both) == std::vector<std::string>{"bb", "192.0.2.1"});
}
