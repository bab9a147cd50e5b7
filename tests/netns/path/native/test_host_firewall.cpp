// Hosts whose firewall drops unknown traffic.
#include "support/expect_error.hpp"
#include "support/service.hpp"
#include "support/testbed.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace std::chrono_literals;
using namespace test;

namespace {

// Everything that the host's firewall forbids and that a lease must not open.
void check_the_rest_stays_shut(const Testbed& bed) {
  CHECK(dial(bed.container, {bed.gateway, 7000}) == "(silence)");
  CHECK(dial(bed.other, {bed.br1_gateway, 8088}) == "(silence)");
}

}  // namespace

TEST_CASE("INPUT drops by policy, in either iptables: it works, and nothing else is let in") {
  for (const char* const iptables : {"iptables-legacy", "iptables-nft"}) {
    CAPTURE(iptables);
    Testbed bed;
    exec(std::string(iptables) + " -w -A INPUT -i lo -j ACCEPT; " + iptables +
         " -w -A INPUT -p icmp -j ACCEPT; " + iptables + " -w -P INPUT DROP");
    bed.remember();
    const Service web(loopback(8088), "web");
    const Service forbidden(listen_on({ip("0.0.0.0"), 7000}), "forbidden");
    CHECK(dial(bed.container, {bed.gateway, 8088}) == "(silence)");
    auto exposure = bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(8088)});
    CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
    check_the_rest_stays_shut(bed);
    exposure.release();
    CHECK(dial(bed.container, {bed.gateway, 8088}) == "(silence)");
    CHECK(bed.changes() == "");
  }
}

TEST_CASE("rules that another program adds to INPUT during a lease remain after it") {
  for (const char* const iptables : {"iptables-legacy", "iptables-nft"}) {
    CAPTURE(iptables);
    Testbed bed;
    exec(std::string(iptables) + " -w -P INPUT DROP");
    const Service web(loopback(8088), "web");
    auto exposure = bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(8088)});
    const auto with_lease = bed.snapshot();
    exec(std::string(iptables) + " -w -I INPUT -s 203.0.113.7 -j ACCEPT");
    exec(std::string(iptables) + " -w -A INPUT -s 203.0.113.8 -j ACCEPT");
    std::this_thread::sleep_for(600ms);
    CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
    exposure.release();
    exec(std::string(iptables) + " -w -D INPUT -s 203.0.113.7 -j ACCEPT");
    exec(std::string(iptables) + " -w -D INPUT -s 203.0.113.8 -j ACCEPT");
    exec(std::string(iptables) + " -w -P INPUT ACCEPT");
    if (iptables == std::string("iptables-legacy")) CHECK(bed.changes() == "");
    CHECK_FALSE(Testbed::has_ours());
    CHECK(with_lease.find("TCHN-IN") != std::string::npos);
  }
}

TEST_CASE("a native nft chain that drops is named, with the line that opens it; the line does") {
  Testbed bed;
  exec("nft -f -", R"(table inet firewall {
    chain in {
      type filter hook input priority filter; policy drop;
      iif lo accept
      meta l4proto icmp accept
    }
  })");
  bed.remember();
  const Service web(loopback(8088), "web");
  const auto exposer = bed.exposer();
  auto request = Testbed::on_br0({HostPort::same(8088)});
  const auto error = error_of([&] { exposer->expose(request); });
  CHECK(error.code() == Errc::firewall_blocked);
  CHECK(std::string(error.what()).find("inet firewall in") != std::string::npos);
  const std::string line = R"(nft insert rule inet firewall in iifname "br0" ct status dnat accept)";
  CHECK(error.hint().find(line) != std::string::npos);
  CHECK(bed.changes() == "");

  SUBCASE("with that line it works") {
    exec(line);
    bed.remember();
    auto exposure = exposer->expose(request);
    CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
    exposure.release();
    CHECK(bed.changes() == "");
  }
  SUBCASE("with force it goes on, and nothing comes through") {
    request.force = true;
    auto exposure = exposer->expose(request);
    CHECK(dial(bed.container, {bed.gateway, 8088}) == "(silence)");
    exec(line);
    CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
  }
}

TEST_CASE("a native nft chain that lets the bridge in anyway is no obstacle") {
  Testbed bed;
  exec("nft -f -", R"(table inet firewall {
    chain in {
      type filter hook input priority filter; policy drop;
      iifname "br*" accept
    }
  })");
  bed.remember();
  const Service web(loopback(8088), "web");
  auto exposure = bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(8088)});
  CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
  exposure.release();
  CHECK(bed.changes() == "");
}
