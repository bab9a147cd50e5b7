// More than one lease: the same port, the same port on another target, and occupied ports.
#include "support/expect_error.hpp"
#include "support/service.hpp"
#include "support/testbed.hpp"

#include <doctest/doctest.h>

#include <cstdlib>

using namespace hostnet;
using namespace std::chrono_literals;
using namespace test;

namespace {

std::string command(const Testbed& bed) {
  return std::string(std::getenv("TC_HOSTNET")) + " --runtime-dir " + bed.runtime_dir() + " ";
}

}  // namespace

TEST_CASE("the same port exposed twice in one process is one forward, closed with the second release") {
  Testbed bed;
  const Service web(loopback(8088), "web");
  auto one = bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(8088)});
  auto other = bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(8088)});
  CHECK(one.id() != other.id());
  CHECK(exec(on_nftables()
                 ? "nft list map ip tc_hostnet by_bridge | grep -c ': 127.0.0.1 . 8088'"
                 : "iptables-legacy-save -t nat | grep -c 'to-destination 127.0.0.1:8088'") == "1\n");
  one.release();
  CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
  other.release();
  CHECK(dial(bed.container, {bed.gateway, 8088}) == "(refused)");
  CHECK(bed.changes() == "");
}

TEST_CASE(
    "the same port exposed by this process and by the command is one forward, in either order of release") {
  for (const bool command_first : {true, false}) {
    CAPTURE(command_first);
    Testbed bed;
    const Service web(loopback(8088), "web");
    auto mine = bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(8088)});
    // Only the id goes to stdout.
    const auto id = exec(command(bed) + "expose 8088 --bridge br0 --detach 2>/dev/null");
    CHECK(exec(command(bed) + "list --json | wc -l") == "2\n");
    if (command_first) {
      exec(command(bed) + "release " + id);
    } else {
      mine.release();
    }
    CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
    if (command_first) {
      mine.release();
    } else {
      exec(command(bed) + "release " + id);
    }
    CHECK(dial(bed.container, {bed.gateway, 8088}) == "(refused)");
    // The background process ends after it notices the end of its lease.
    CHECK(eventually([&] { return bed.changes().empty(); }, 2s));
    CHECK(bed.changes() == "");
  }
}

TEST_CASE("a lease that the command releases ends for its owner, who is told") {
  Testbed bed;
  const Service web(loopback(8088), "web");
  std::atomic<int> told = 0;
  const auto exposer = bed.exposer([&](const std::string&, ExposureState, const std::string&) { ++told; });
  auto exposure = exposer->expose(Target::bridge("br0"), {HostPort::same(8088)});
  exec(command(bed) + "release --all");
  CHECK(eventually([&] { return told == 1; }, 2s));
  CHECK(exposure.state() == ExposureState::released);
  CHECK(exposure.reason() == "released by another process");
  CHECK(eventually([&] { return bed.changes().empty(); }, 1s));
  CHECK(bed.changes() == "");
  // The same exposer works again.
  auto again = exposer->expose(Target::bridge("br0"), {HostPort::same(8088)});
  CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
  again.release();
  CHECK(bed.changes() == "");
}

TEST_CASE("one container port cannot lead to two host ports") {
  Testbed bed;
  const Service web(loopback(8088), "web");
  const auto exposer = bed.exposer();
  auto exposure = exposer->expose(Target::bridge("br0"), {{8088, 80}});
  const auto held = bed.snapshot();
  const auto error = error_of([&] { exposer->expose(Target::bridge("br0"), {{8089, 80}}); });
  CHECK(error.code() == Errc::conflict);
  CHECK(std::string(error.what()).find("leads to host port 8088 already, by lease " + exposure.id()) !=
        std::string::npos);
  CHECK(error.hint().find("tc-hostnet release " + exposure.id()) != std::string::npos);
  // All or none, within one call too.
  const std::vector<ExposeRequest> requests{Testbed::on_br0({HostPort::same(7000)}),
                                            Testbed::on_br0({{8090, 80}})};
  CHECK(error_of([&] { exposer->expose_all(requests); }).code() == Errc::conflict);
  CHECK(difference(held, bed.snapshot()) == "");
  CHECK(dial(bed.container, {bed.gateway, 80}) == "web");
  exposure.release();
  CHECK(bed.changes() == "");
}

TEST_CASE("a lease for one container goes before one for the whole bridge, whichever came first") {
  for (const bool specific_first : {true, false}) {
    CAPTURE(specific_first);
    Testbed bed;
    const Service own(loopback(9001), "for the container");
    const Service common(loopback(9002), "for everybody");
    const auto exposer = bed.exposer();
    const auto specific = bed.for_container({{9001, 80}});
    const auto general = Testbed::on_br0({{9002, 80}});
    auto first = exposer->expose(specific_first ? specific : general);
    auto second = exposer->expose(specific_first ? general : specific);
    CHECK(dial(bed.container, {bed.gateway, 80}) == "for the container");
    CHECK(dial(bed.neighbour, {bed.gateway, 80}) == "for everybody");
    (specific_first ? first : second).release();
    CHECK(dial(bed.container, {bed.gateway, 80}) == "for everybody");
    (specific_first ? second : first).release();
    CHECK(bed.changes() == "");
  }
}

TEST_CASE("a service on gateway:port is not pushed aside, unless by force") {
  Testbed bed;
  const Service web(loopback(8088), "web");
  const Service there(listen_on({bed.gateway, 8088}), "there before");
  const auto exposer = bed.exposer();
  auto request = Testbed::on_br0({HostPort::same(8088)});
  const auto error = error_of([&] { exposer->expose(request); });
  CHECK(error.code() == Errc::conflict);
  CHECK(std::string(error.what()).find("198.18.0.1:8088") != std::string::npos);
  CHECK(bed.changes() == "");
  CHECK(dial(bed.container, {bed.gateway, 8088}) == "there before");
  request.force = true;
  auto exposure = exposer->expose(request);
  CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
  exposure.release();
  CHECK(dial(bed.container, {bed.gateway, 8088}) == "there before");
  CHECK(bed.changes() == "");
}

TEST_CASE("a listener on every address is in the way of another port's exposure, not of its own") {
  Testbed bed;
  const Service everywhere(listen_on({ip("0.0.0.0"), 8088}), "everywhere");
  const Service web(loopback(9000), "web");
  const auto exposer = bed.exposer();
  CHECK(error_of([&] { exposer->expose(Target::bridge("br0"), {{9000, 8088}}); }).code() == Errc::conflict);
  auto exposure = exposer->expose(Target::bridge("br0"), {HostPort::same(8088)});
  CHECK(dial(bed.container, {bed.gateway, 8088}) == "everywhere");
  exposure.release();
  CHECK(bed.changes() == "");
}

TEST_CASE("require_listener wants one on 127.0.0.1; without it the service may come later") {
  Testbed bed;
  const auto exposer = bed.exposer();
  auto request = Testbed::on_br0({HostPort::same(8088)});
  request.require_listener = true;
  const auto error = error_of([&] { exposer->expose(request); });
  CHECK(error.code() == Errc::not_listening);
  CHECK(std::string(error.what()).find("nothing listens on 127.0.0.1:8088") != std::string::npos);
  {
    const auto elsewhere = listen_on({bed.uplink_address, 8088});
    CHECK(std::string(error_of([&] { exposer->expose(request); }).what()).find("only on 198.18.9.1:8088") !=
          std::string::npos);
  }
  {
    const auto six = listen_on(in6addr_loopback, 8088, true);
    CHECK(std::string(error_of([&] { exposer->expose(request); }).what()).find("only on [::1]:8088") !=
          std::string::npos);
    auto warned_only = request;
    warned_only.require_listener = false;
    auto exposure = exposer->expose(warned_only);
    CHECK(dial(bed.container, {bed.gateway, 8088}) == "(refused)");
    exposure.release();
  }
  CHECK(bed.changes() == "");
  request.require_listener = false;
  auto exposure = exposer->expose(request);
  CHECK(dial(bed.container, {bed.gateway, 8088}) == "(refused)");
  const Service late(loopback(8088), "late");
  CHECK(dial(bed.container, {bed.gateway, 8088}) == "late");
  request.require_listener = true;
  exposer->expose(request).release();
  exposure.release();
  CHECK(bed.changes() == "");
}
