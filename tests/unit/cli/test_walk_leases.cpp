// A packet's way, by the kinds of leases: sidecars, tunnels, other users', relays; and what is shown of it.
#include "unit/cli/open_way.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace hostnet;
using namespace hostnet::cli::doctor;
using namespace hostnet::cli::doctor::walked;
using test::denied;

namespace {

// The way by a sidecar, which is open.
WalkFacts by_sidecar() {
  auto facts = open_way();
  facts.openings = {tunnel()};
  facts.openings.front().sidecar = "tchn-sidecar";
  facts.openings.front().sidecar_state = "running";
  facts.alias.hosts = seen(std::string("127.0.0.1 localhost\n"));
  facts.address = first_alias_address(facts);
  return facts;
}

Opening of_another_user() {
  auto opening = tunnel();
  opening.lease = "5e6f7a8b";
  opening.foreign = true;
  opening.ports.clear();
  opening.sources.clear();
  return opening;
}

}  // namespace

TEST_CASE("a sidecar that is paused or gone, and a tunnel that is down") {
  auto facts = by_sidecar();
  CHECK(stops_at(judge_walk(facts)).empty());
  facts.inside = dialled(Dialled::Outcome::timed_out);
  auto& opening = facts.openings.front();
  opening.sidecar_state = "paused";
  stops(facts, "forward", "leads 15432/tcp to 127.0.0.1:5432, but its sidecar is paused");
  CHECK(step(facts, "forward").mend == "docker unpause tchn-sidecar");
  facts.engine.podman = true;
  CHECK(step(facts, "forward").mend == "podman unpause tchn-sidecar");
  opening.sidecar_state = "exited";
  stops(facts, "forward", "but its sidecar is exited");
  CHECK(step(facts, "forward").mend == "tc-hostnet release 1a2b3c4d, and expose again");
  opening.sidecar_state.clear();  // not known
  opening.tunnel = "connection refused";
  stops(facts, "forward", "but its tunnel is not up: connection refused");
  opening.tunnel.clear();
  CHECK(step(facts, "forward").status == Status::ok);
}

TEST_CASE("another user's sidecar: its ports are not known, the connection decides") {
  auto facts = by_sidecar();
  facts.openings = {of_another_user()};
  CHECK(step(facts, "forward").status == Status::unseen);
  CHECK(says(
      step(facts, "forward"),
      "lease 5e6f7a8b (ssh) of another user has a sidecar on web, whose ports cannot be seen from here"));
  CHECK(step(facts, "forward").mend == "run doctor as that user");
  // Its listener is on the port as asked.
  CHECK(step(facts, "listener").status == Status::ok);
  facts.openings.front().sidecar_state = "paused";
  facts.openings.front().sidecar = "theirs";
  facts.inside = dialled(Dialled::Outcome::timed_out);
  stops(facts, "forward", "but its sidecar is paused");
  // A lease of one's own comes first, one that has ended last.
  facts.openings.push_back(tunnel());
  CHECK(find_opening(facts)->lease == "1a2b3c4d");
  facts.openings.back().dead = true;
  CHECK(find_opening(facts)->lease == "5e6f7a8b");
}

TEST_CASE("the name where a sidecar and a native lease both serve the port") {
  auto facts = by_sidecar();
  facts.openings.push_back(native_lease());
  facts.alias.hosts = seen(std::string("198.19.0.1 host.testcontainers.internal # tc-hostnet 1a2b3c4d\n"));
  CHECK(step(facts, "alias").status == Status::ok);
  // Not if it serves another container, or another port.
  facts.openings.back().sources = {"198.19.0.3"};
  facts.inside = dialled(Dialled::Outcome::timed_out);
  stops(facts, "alias",
        "is 198.19.0.1 in its hosts file, by the line of lease 1a2b3c4d, but it should be 198.19.0.9");
  facts.openings.back() = native_lease();
  facts.openings.back().ports = {{8088, 8088}};
  stops(facts, "alias", "but it should be 198.19.0.9");
  // A sidecar whose address is not known proves nothing wrong.
  facts.openings = {tunnel()};
  facts.openings.front().addresses.clear();
  CHECK(step(facts, "alias").status == Status::ok);
}

TEST_CASE("the address of a sidecar by DNS, only on the container's network and while the lease lives") {
  auto facts = by_sidecar();
  CHECK(alias_addresses(facts) == std::vector<std::string>{"198.19.0.9"});
  facts.openings.front().dead = true;
  CHECK(alias_addresses(facts).empty());
  facts.openings = {tunnel()};
  facts.openings.front().addresses.clear();
  CHECK(alias_addresses(facts).empty());
  facts.openings = {tunnel()};
  facts.openings.front().network = "other";
  CHECK(alias_addresses(facts).empty());
  facts.openings.front().network = facts.container.value->endpoints.front().network = "podman";
  CHECK(alias_addresses(facts).empty());
}

TEST_CASE("without a living lease a missing name is no fault: expose writes it") {
  auto facts = open_way();
  facts.alias.hosts = seen(std::string("127.0.0.1 localhost\n"));
  facts.openings.front().dead = true;
  CHECK(step(facts, "alias").status == Status::ok);
  CHECK(says(step(facts, "alias"), "is not in its hosts file; expose writes it"));
  facts.openings.clear();
  CHECK(says(step(facts, "alias"), "expose writes it"));
  CHECK(says(step(facts, "forward"), "no lease lets it in on 15432/tcp"));
}

TEST_CASE("addresses: endpoints of IPv6 alone, a rootless engine, a bridge without any") {
  auto facts = open_way();
  const auto four = facts.container.value->endpoints.front();
  facts.container.value->endpoints = {engine::Endpoint{.network = "six"}, four};
  CHECK(says(step(facts, "container"), "app runs, 198.19.0.2 on web"));
  CHECK(step(facts, "forward").status == Status::ok);
  facts.engine.rootless = true;
  CHECK(says(step(facts, "container"), "its engine runs rootless"));
  facts.container.value->endpoints.pop_back();
  stops(facts, "container", "has no address of its own");
  facts = open_way();
  facts.bridge.resolved.value->gateways.clear();
  facts.inside = denied<Inside>();
  stops(facts, "gateway", "bridge br-web has no IPv4 address");
  facts.bridge.resolved = {std::nullopt, Error(Errc::no_path, "bridge br-web is not here")};
  facts.back = {std::nullopt, facts.bridge.resolved.error};
  CHECK(step(facts, "gateway").mend == "run the full check: tc-hostnet doctor");
}

TEST_CASE("rules that were not all read, and rules that reject") {
  auto facts = open_way();
  facts.unread = "iptables-nft-save fails: denied";
  CHECK(step(facts, "firewall").status == Status::unseen);
  CHECK(says(step(facts, "firewall"),
             "a part of the host's rules is not readable: iptables-nft-save fails: denied"));
  auto rejecting = drop(true);
  rejecting.rejects = true;
  facts.drop = seen(std::optional(rejecting));
  facts.inside = dialled(Dialled::Outcome::refused);
  stops(facts, "firewall", "rule 1 rejects the connection");
  rejecting.certain = false;
  facts.drop = seen(std::optional(rejecting));
  stops(facts, "firewall", "rule 1 may reject the connection");
  // One in INPUT counts for a lease that is there.
  auto before = drop(true);
  before.before_ours = true;
  facts.drop = seen(std::optional(before));
  stops(facts, "firewall", "rule 1 drops the connection");
}

TEST_CASE("a route back that is not known, and a listener elsewhere that the lease must give way to") {
  auto facts = open_way();
  facts.back = denied<ReturnFacts>();
  CHECK(step(facts, "return").status == Status::unseen);
  auto six = netlink::Listener{.ipv6 = true, .port = 5432, .uid = 1000};
  six.address[15] = 1;
  facts.listener.listeners = seen(std::vector{six});
  facts.listener.target = Target::container("app");
  facts.inside = dialled(Dialled::Outcome::refused);
  stops(facts, "listener", "which only the ssh path reaches");
  CHECK(step(facts, "listener").mend.starts_with("tc-hostnet release 1a2b3c4d && tc-hostnet expose "));
}

TEST_CASE("over UDP nothing is dialled, and the picture says who decides") {
  auto facts = open_way();
  facts.port.protocol = facts.openings.front().ports.front().protocol = facts.listener.port.protocol =
      Protocol::udp;
  facts.inside = seen(Inside{.route = true, .dialled = std::nullopt});
  const auto steps = judge_walk(facts);
  CHECK(stops_at(steps).empty());
  CHECK(says(step(facts, "connect"), "not tried: over UDP only the service of 198.19.0.1:15432 decides"));
  CHECK(draw_walk(facts, steps).back().str() ==
        " ▼ every step is in place; over UDP only the service can confirm that");
  // A rule that may drop stays doubtful: no connection passed or failed.
  facts.drop = seen(std::optional(drop(false)));
  CHECK(step(facts, "firewall").status == Status::warn);
  facts.inside = denied<Inside>();
  facts.bridge = {.resolved = {std::nullopt, Error(Errc::no_path, "no bridge")}};
  facts.back = {std::nullopt, facts.bridge.resolved.error};
  CHECK(step(facts, "connect").status == Status::unseen);
}

TEST_CASE("the picture of an open way, in any width") {
  const auto facts = open_way();
  for (const auto width : {0UL, 20UL, 60UL, 200UL}) {
    const auto lines = draw_walk(facts, judge_walk(facts), width);
    CHECK(lines.front().str().starts_with("app →"));
    const auto last =
        std::ranges::find_if(lines, [](const auto& line) { return line.str().starts_with(" ▼ "); });
    REQUIRE(last != lines.end());
    if (width != 20) CHECK(last->str() == " ▼ the way is open, as far as doctor can see");
  }
}
