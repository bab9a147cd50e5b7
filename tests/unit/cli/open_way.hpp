// The facts of a way that is open, for tests that break one step of it.
#pragma once

#include "cli/doctor/walk.hpp"
#include "hostnet/error.hpp"
#include "support/addresses.hpp"
#include "unit/cli/seen.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// In doctor's namespace, whose names these are.
namespace hostnet::cli::doctor::walked {

using test::ip, test::says, test::seen;

inline Opening native_lease() {
  Opening opening;
  opening.lease = "1a2b3c4d";
  opening.via = "native";
  opening.in_journal = true;
  opening.target = "container app";
  opening.interface = "br-web";
  opening.addresses = {"198.19.0.1"};
  opening.sources = {"198.19.0.2"};
  opening.ports = {{5432, 15432}};
  return opening;
}

inline Opening tunnel() {
  auto opening = native_lease();
  opening.via = "ssh";
  opening.in_journal = false;
  opening.interface.clear();
  opening.network = "web";
  opening.addresses = {"198.19.0.9"};
  return opening;
}

inline netlink::Listener on_loopback(std::uint16_t port) {
  netlink::Listener listener{.port = port, .uid = 1000};
  listener.address = {127, 0, 0, 1};
  return listener;
}

inline Seen<Inside> dialled(Dialled::Outcome outcome) {
  return seen(Inside{true, Dialled{outcome, std::chrono::microseconds{1500}, "No route to host"}});
}

/// The container app dials 15432, and every step is ok.
inline WalkFacts open_way() {
  WalkFacts facts;
  facts.port = {15432, 15432};
  facts.engine = {.address = seen(engine::Address{"/run/docker.sock", "default"}), .answers = seen(true)};
  engine::Container app;
  app.id = "abc";
  app.name = "app";
  app.running = true;
  app.pid = 4711;
  app.endpoints = {{"web", "id", ip("198.19.0.2"), ip("198.19.0.1"), ""}};
  facts.container = seen(app);
  exposer::Resolved way;
  way.bridge.name = "br-web";
  way.bridge.up = true;
  way.gateways = {ip("198.19.0.1")};
  facts.bridge.resolved = seen(way);
  facts.alias.container = "app";
  facts.alias.hosts = seen(
      std::string("127.0.0.1 localhost\n198.19.0.1 host.testcontainers.internal # tc-hostnet 1a2b3c4d\n"));
  facts.openings = {native_lease()};
  facts.drop = seen(std::optional<firewall::Drop>{});
  facts.back = seen(ReturnFacts{.interface = "br-web"});
  facts.listener.port = facts.port;
  facts.listener.port.host = 5432;
  facts.listener.listeners = seen(std::vector{on_loopback(5432)});
  facts.address = "198.19.0.1";
  facts.inside = dialled(Dialled::Outcome::connected);
  return facts;
}

/// That step, after a check of the form of all.
inline Check step(const WalkFacts& facts, std::string_view name) {
  const auto steps = judge_walk(facts);
  for (const auto& check : steps) {
    CAPTURE(check.name);
    CAPTURE(check.finding);
    CHECK_FALSE(check.finding.empty());
    CHECK((check.mend.empty() || check.status != Status::ok));
  }
  const auto found = std::ranges::find(steps, name, &Check::name);
  REQUIRE(found != steps.end());
  return *found;
}

inline firewall::Drop drop(bool certain) {
  return {.certain = certain, .what = "rule 1", .remedy = "nft insert rule …"};
}

/// The step where the walk stops, with these words in its finding.
inline void stops(const WalkFacts& facts, std::string_view at, std::string_view words) {
  CHECK(stops_at(judge_walk(facts)) == at);
  const auto check = step(facts, at);
  CAPTURE(check.finding);
  CHECK(says(check, words));
}

/// What a resolver tries first; empty without an address.
inline std::string first_alias_address(const WalkFacts& facts) {
  const auto all = alias_addresses(facts);
  return all.empty() ? std::string() : all.front();
}

}  // namespace hostnet::cli::doctor::walked
