// Requests that fail: the right reason, and no change.
#include "support/expect_error.hpp"
#include "support/testbed.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace test;

namespace {

struct Wrong {
  Target target;
  std::vector<HostPort> ports;
  Errc code;
  const char* words;
};

}  // namespace

TEST_CASE("what cannot be served is refused with its reason, and nothing is left behind") {
  Testbed bed;
  exec("ip link add empty type bridge; ip link set empty up");
  exec("ip link add br-phys type bridge; ip link add link uplink0 name phys0 type macvlan mode bridge");
  exec("ip link set phys0 master br-phys; ip address add 198.18.3.1/24 dev br-phys; ip link set br-phys up");
  const NetNs lonely;
  bed.remember();
  const auto exposer = bed.exposer();
  const std::vector<HostPort> good{HostPort::same(8088)};
  const std::vector<Wrong> wrongs{
      {Target::bridge("nosuch"), good, Errc::not_found, "there is no bridge 'nosuch'"},
      {Target::bridge("port2"), good, Errc::invalid_argument, "port2 is not a bridge but of kind veth"},
      {Target::bridge("lo"), good, Errc::invalid_argument, "lo is not a bridge"},
      {Target::bridge(""), good, Errc::invalid_argument, "it is empty"},
      {Target::bridge("sixteen-letters!"), good, Errc::invalid_argument, "longer than 15"},
      {Target::bridge("br0;reboot"), good, Errc::invalid_argument, "';'"},
      {Target::bridge("$(id)"), good, Errc::invalid_argument, "'$'"},
      {Target::bridge("br0\n"), good, Errc::invalid_argument, "\\x0a"},
      {Target::bridge("../br0"), good, Errc::invalid_argument, "'/'"},
      {Target::bridge("-i"), good, Errc::invalid_argument, "no interface is called that"},
      {Target::bridge(std::string("br0\0x", 5)), good, Errc::invalid_argument, "\\x00"},
      {Target::bridge("br+"), good, Errc::invalid_argument, "'+'"},  // a wildcard to iptables
      {Target::bridge("empty"), good, Errc::not_found, "bridge empty has no IPv4 address"},
      {Target::bridge("br-phys"), good, Errc::invalid_argument,
       "leads out of this machine by its port phys0"},
      {Target::netns("/nowhere"), good, Errc::not_found, "there is no network namespace '/nowhere'"},
      {Target::netns("/dev/null"), good, Errc::failure, ""},
      {Target::netns(lonely.path()), good, Errc::not_found, "is not attached to a bridge"},
      {Target::netns(bed.uplink.path()), good, Errc::not_found, "is not attached to a bridge"},
      {Target::bridge("br0"), {}, Errc::invalid_argument, "no port"},
      {Target::bridge("br0"), {{0, 80}}, Errc::invalid_argument, "greater than zero"},
      {Target::bridge("br0"), {{80, 0}}, Errc::invalid_argument, "greater than zero"},
      {Target::bridge("br0"), {{80, 1}, {81, 1}}, Errc::conflict, ""},
  };
  for (const auto& wrong : wrongs) {
    CAPTURE(wrong.target.to_string());
    const auto error = error_of([&] { exposer->expose(wrong.target, wrong.ports); });
    CHECK(std::string(to_string(error.code())) == to_string(wrong.code));
    CAPTURE(error.what());
    CHECK(std::string(error.what()).find(wrong.words) != std::string::npos);
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    // All or none: a bad request also stops a good one.
    const std::vector<ExposeRequest> requests{Testbed::on_br0({HostPort::same(7000)}),
                                              {.target = wrong.target, .ports = wrong.ports}};
    CHECK(error_of([&] { exposer->expose_all(requests); }).code() == wrong.code);
    CHECK(bed.changes() == "");
  }
}

TEST_CASE("an absurd label is refused, a fitting one kept") {
  Testbed bed;
  const auto exposer = bed.exposer();
  auto request = Testbed::on_br0({HostPort::same(8088)});
  for (const auto& label : {std::string(65, 'x'), std::string("a\nb"), std::string("\x1b[2J")}) {
    request.label = label;
    CHECK(error_of([&] { exposer->expose(request); }).code() == Errc::invalid_argument);
  }
  CHECK(bed.changes() == "");
  request.label = std::string(64, 'x');
  exposer->expose(request).release();
  CHECK(bed.changes() == "");
}

TEST_CASE("a bridge with a way out of the machine is exposed to by force alone") {
  Testbed bed;
  exec("ip link add link uplink0 name phys0 type macvlan mode bridge; ip link set phys0 master br0");
  bed.remember();
  const auto exposer = bed.exposer();
  auto request = Testbed::on_br0({HostPort::same(8088)});
  CHECK(error_of([&] { exposer->expose(request); }).code() == Errc::invalid_argument);
  request.force = true;
  exposer->expose(request).release();
  CHECK(bed.changes() == "");
}

TEST_CASE("no request at all does nothing") {
  Testbed bed;
  CHECK(bed.exposer()->expose_all({}).empty());
  CHECK(bed.changes() == "");
}
