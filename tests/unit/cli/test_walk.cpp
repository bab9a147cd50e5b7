// Where the path from a container to a service stops, from given facts.
#include "unit/cli/open_way.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

using namespace hostnet;
using namespace hostnet::cli::doctor;
using namespace hostnet::cli::doctor::walked;
using test::denied;

TEST_CASE("an open path") {
  const auto facts = open_way();
  const auto steps = judge_walk(facts);
  CHECK(stops_at(steps).empty());
  CHECK(std::ranges::all_of(steps, [](const Check& check) { return check.status == Status::ok; }));
  CHECK(says(step(facts, "forward"), "lease 1a2b3c4d (native) leads 15432/tcp to 127.0.0.1:5432"));
  CHECK(says(step(facts, "alias"), "by lease 1a2b3c4d"));
  CHECK(says(step(facts, "connect"), "in 1.5 ms"));
  CHECK(alias_addresses(facts) == std::vector<std::string>{"198.19.0.1"});
}

TEST_CASE("each step broken once") {
  auto facts = open_way();
  SUBCASE("no engine") {
    facts.engine.answers = {std::nullopt, Error(Errc::engine_unavailable, "nobody answers")};
    stops(facts, "container", "nobody answers");
    CHECK(judge_walk(facts).size() == 1);
  }
  SUBCASE("no container") {
    facts.container = {std::nullopt, Error(Errc::not_found, "No such container: app")};
    stops(facts, "container", "No such container");
  }
  SUBCASE("it does not run") {
    facts.container.value->running = false;
    stops(facts, "container", "does not run");
  }
  SUBCASE("it is on the host's network") {
    facts.container.value->endpoints.clear();
    facts.container.value->network_mode = "host";
    stops(facts, "container", "network mode host");
  }
  SUBCASE("no alias, but the gateway answers") {
    facts.alias.hosts = seen(std::string("127.0.0.1 localhost\n"));
    stops(facts, "alias", "is not in its hosts file");
    CHECK(step(facts, "alias").mend == "tc-hostnet expose 15432 --container app");
  }
  SUBCASE("the alias leads elsewhere") {
    facts.alias.hosts = seen(std::string("192.0.2.1 host.testcontainers.internal\n"));
    facts.address = first_alias_address(facts);
    stops(facts, "alias",
          "is 192.0.2.1 in its hosts file, by an entry of the container's own, but it should be 198.19.0.1");
    CHECK(step(facts, "alias").mend.starts_with("docker exec -u 0 app sh -c "));
    facts.engine.podman = true;
    CHECK(step(facts, "alias").mend.starts_with("podman exec"));
    facts.alias.by_extra_host = true;
    CHECK(step(facts, "alias").mend.find("without --add-host") != std::string::npos);
  }
  SUBCASE("a stale line before the lease's") {
    facts.alias.hosts = seen("192.0.2.1 host.testcontainers.internal\n" + *facts.alias.hosts);
    facts.address = first_alias_address(facts);
    CHECK(facts.address == "192.0.2.1");
    stops(facts, "alias", "is 192.0.2.1 in its hosts file");
  }
  SUBCASE("it is paused") {
    facts.container.value->state = "paused";
    stops(facts, "container", "is paused");
    CHECK(step(facts, "container").mend == "resume it: docker unpause app");
  }
  SUBCASE("no bridge here") {
    facts.bridge.resolved = {std::nullopt, Error(Errc::no_path, "bridge br-web is not here", "use ssh")};
    facts.back = {std::nullopt, facts.bridge.resolved.error};  // as they are gathered
    stops(facts, "gateway", "br-web is not here");
  }
  SUBCASE("the bridge is down") {
    facts.bridge.resolved.value->bridge.up = false;
    facts.back.value = ReturnFacts{.error = 101};
    stops(facts, "gateway", "which is down");
    CHECK(step(facts, "return").mend.empty());
  }
  SUBCASE("the container's port of the bridge is down") {
    facts.port_down = "veth7";
    stops(facts, "gateway", "but veth7, the container's port of it, is down");
    CHECK(step(facts, "gateway").mend == "ip link set veth7 up");
  }
  SUBCASE("its interface is down") {
    facts.inside.value->route = false;
    facts.inside.value->down = "eth0";
    stops(facts, "gateway", "but eth0 inside is down");
    CHECK(step(facts, "gateway").mend == "nsenter -t 4711 -n ip link set eth0 up");
  }
  SUBCASE("no route inside") {
    facts.inside.value->route = false;
    stops(facts, "gateway", "no route inside leads there");
    CHECK(step(facts, "gateway").mend.find("nsenter -t 4711") != std::string::npos);
  }
  SUBCASE("a firewall that drops") {
    facts.drop = seen(std::optional(drop(true)));
    facts.inside = dialled(Dialled::Outcome::timed_out);
    stops(facts, "firewall", "rule 1 drops the connection");
    CHECK(step(facts, "firewall").mend == "nft insert rule …");
    CHECK(step(facts, "connect").mend.empty());  // one remedy for one fault
    facts.inside = dialled(Dialled::Outcome::connected);
    CHECK(stops_at(judge_walk(facts)).empty());
    CHECK(says(step(facts, "firewall"), "this connection passed"));
  }
  SUBCASE("a rule that may drop is the fault only if nothing else is, and the connection fails") {
    facts.drop = seen(std::optional(drop(false)));
    CHECK(stops_at(judge_walk(facts)).empty());
    CHECK(step(facts, "firewall").status == Status::ok);
    facts.inside = dialled(Dialled::Outcome::timed_out);
    stops(facts, "firewall", "rule 1 may drop the connection");
    facts.listener.listeners = seen(std::vector<netlink::Listener>{});
    stops(facts, "listener", "nothing listens");
    facts.inside = denied<Inside>();
    facts.listener = open_way().listener;
    CHECK(stops_at(judge_walk(facts)).empty());
    CHECK(unseen_steps(facts, judge_walk(facts)) == std::vector<std::string>{"connect"});
  }
  SUBCASE("a drop in iptables' INPUT is none for a lease that is to come") {
    auto before = drop(true);
    before.before_ours = true;
    facts.drop = seen(std::optional(before));
    facts.openings.clear();
    facts.inside = dialled(Dialled::Outcome::timed_out);
    stops(facts, "forward", "no lease lets it in");
    CHECK(step(facts, "firewall").status == Status::ok);
  }
  SUBCASE("answers that do not go back") {
    facts.inside = dialled(Dialled::Outcome::timed_out);
    facts.back = seen(ReturnFacts{.error = EINVAL, .rejecting = "blackhole 198.19.0.2/32"});
    stops(facts, "return", "answers are lost: Invalid argument (route blackhole 198.19.0.2/32)");
    CHECK(step(facts, "return").mend == "ip route del blackhole 198.19.0.2/32");
    facts.back = seen(ReturnFacts{.interface = "eth0", .rule = 77});
    stops(facts, "return", "leave by eth0 instead of br-web (rule 77 of `ip rule`)");
    CHECK(step(facts, "return").mend == "ip rule del pref 77");
    facts.back = seen(ReturnFacts{.interface = "eth0", .subnet = {ip("198.19.0.1"), 24}});
    stops(facts, "return", "there is no route to 198.19.0.0/24 by br-web");
    CHECK(step(facts, "return").mend == "ip route replace 198.19.0.0/24 dev br-web src 198.19.0.1");
  }
  SUBCASE("no listener") {
    facts.listener.listeners = seen(std::vector<netlink::Listener>{});
    facts.inside = dialled(Dialled::Outcome::refused);
    stops(facts, "listener", "nothing listens on 127.0.0.1:5432/tcp");
  }
  SUBCASE("every step is ok, but the connection fails") {
    for (const auto& [outcome, words] : {std::pair{Dialled::Outcome::refused, "refuses"},
                                         {Dialled::Outcome::timed_out, "does not answer"},
                                         {Dialled::Outcome::failed, "No route to host"}}) {
      facts.inside = dialled(outcome);
      stops(facts, "connect", words);
      CHECK(step(facts, "connect").mend == "watch where its packets end: tcpdump -ni br-web host 198.19.0.1");
    }
  }
}

TEST_CASE("forwards: owner, place, and the nearest ones instead") {
  auto facts = open_way();
  auto& lease = facts.openings.front();
  facts.inside = dialled(Dialled::Outcome::refused);
  SUBCASE("none at all") {
    facts.openings.clear();
    stops(facts, "forward", "no lease lets it in on 15432/tcp");
    CHECK(step(facts, "forward").mend == "tc-hostnet expose 15432 --container app");
    facts.inside = dialled(Dialled::Outcome::connected);
    stops(facts, "forward", "what answers on 198.19.0.1:15432 is something else");
  }
  SUBCASE("another container's") {
    lease.sources = {"198.19.0.3"};
    lease.target = "container other";
    stops(facts, "forward", "lease 1a2b3c4d has that port for container other");
  }
  SUBCASE("another network's") {
    lease.interface = "br-other";
    stops(facts, "forward", "has that port for");
  }
  SUBCASE("another port, another protocol") {
    lease.ports = {{8088, 8088}, {15432, 15432, Protocol::udp}};
    stops(facts, "forward", "lease 1a2b3c4d gives it other ports");
  }
  SUBCASE("for every container on the bridge") {
    lease.sources.clear();
    CHECK(step(facts, "forward").status == Status::ok);
  }
  SUBCASE("a dead holder, beside a living one") {
    lease.dead = true;
    stops(facts, "forward", "but it has ended");
    auto living = native_lease();
    living.lease = "5e6f7a8b";
    facts.openings.push_back(living);
    CHECK(find_opening(facts)->lease == "5e6f7a8b");
  }
  SUBCASE("missing rules") {
    facts.deviations = {"table nat lacks rules of it"};
    stops(facts, "forward", "but table nat lacks rules of it");
  }
}

TEST_CASE("with a tunnel the alias is the sidecar's, and no answer of the host's is in the path") {
  auto facts = open_way();
  facts.openings = {tunnel()};
  facts.alias.hosts = seen(std::string("127.0.0.1 localhost\n"));
  facts.back = denied<ReturnFacts>();
  CHECK(alias_addresses(facts) == std::vector<std::string>{"198.19.0.9"});
  facts.address = first_alias_address(facts);
  CHECK(stops_at(judge_walk(facts)).empty());
  CHECK(says(step(facts, "alias"), "198.19.0.9, by the network's DNS"));
  CHECK(says(step(facts, "gateway"), "is the sidecar of lease 1a2b3c4d on web"));
  CHECK(says(step(facts, "return"), "not needed"));
  // The default network has no DNS.
  facts.openings.front().network = "bridge";
  facts.container.value->endpoints.front().network = "bridge";
  CHECK(alias_addresses(facts).empty());
  // A Unix socket needs no listener on a port.
  facts.openings = {tunnel()};
  facts.openings.front().ports = {{0, 15432, Protocol::tcp, "/run/db.sock"}};
  facts.container.value->endpoints.front().network = "web";
  CHECK(says(step(facts, "listener"), "the Unix socket /run/db.sock"));
}

TEST_CASE("both families of the name are tried") {
  auto facts = open_way();
  facts.openings = {tunnel()};
  facts.openings.front().addresses = {"198.19.0.9", "fd00:77::9"};
  facts.alias.hosts = seen(std::string("127.0.0.1 localhost\n"));
  facts.back = denied<ReturnFacts>();
  CHECK(alias_addresses(facts) == std::vector<std::string>{"198.19.0.9", "fd00:77::9"});
  facts.address = "198.19.0.9";
  facts.second_address = "fd00:77::9";
  facts.inside.value->dialled_second =
      Dialled{Dialled::Outcome::connected, std::chrono::microseconds{500}, {}};
  CHECK(stops_at(judge_walk(facts)).empty());
  CHECK(says(step(facts, "alias"), "is 198.19.0.9 and fd00:77::9, by the network's DNS"));
  facts.inside.value->dialled_second->outcome = Dialled::Outcome::refused;
  CHECK(stops_at(judge_walk(facts)) == "connect");
  CHECK(says(step(facts, "connect"),
             "198.19.0.9:15432 connects, but the name is fd00:77::9, too, which refuses"));
  facts.inside.value->dialled_second->outcome = Dialled::Outcome::timed_out;
  CHECK(says(step(facts, "connect"), "which does not answer"));
  // In the hosts file, too; there a line of the container's own for the other family is a wrong name.
  facts.alias.hosts =
      seen(std::string("fd00:77::9 host.testcontainers.internal # tc-hostnet 1a2b3c4d\n198.19.0.9 "
                       "host.testcontainers.internal\n"));
  CHECK(alias_addresses(facts) == std::vector<std::string>{"198.19.0.9", "fd00:77::9"});
  facts.alias.hosts =
      seen(std::string("198.19.0.9 host.testcontainers.internal\nfd00::1 host.testcontainers.internal\n"));
  CHECK(stops_at(judge_walk(facts)) == "alias");
  CHECK(says(step(facts, "alias"), "is fd00::1 in its hosts file"));
}

TEST_CASE("a container with an IPv6 address alone") {
  auto facts = open_way();
  auto& endpoint = facts.container.value->endpoints.front();
  endpoint.address.reset();
  endpoint.address6 = Ip::parse("fd00:77::2");
  facts.openings = {tunnel()};
  facts.openings.front().addresses = {"fd00:77::9"};
  facts.openings.front().sources = {"fd00:77::2"};
  facts.alias.hosts = seen(std::string("127.0.0.1 localhost\n"));
  facts.bridge.resolved = {std::nullopt, Error(Errc::no_path, "no IPv4 here")};
  facts.back = denied<ReturnFacts>();
  facts.drop = {std::nullopt,
                Error(Errc::no_path, "rules for IPv6 are not followed", "the connection tells")};
  facts.address = first_alias_address(facts);
  CHECK(facts.address == "fd00:77::9");
  CHECK(says(step(facts, "container"), "app runs, fd00:77::2 on web"));
  CHECK(stops_at(judge_walk(facts)).empty());
  CHECK(unseen_steps(facts, judge_walk(facts)).empty());  // it connected
  CHECK(says(step(facts, "connect"), "connected from inside to [fd00:77::9]:15432"));
}

TEST_CASE("a relay is in the container itself") {
  auto facts = open_way();
  facts.openings = {tunnel()};
  auto& opening = facts.openings.front();
  opening.via = "relay";
  opening.addresses = {"127.0.0.77"};
  facts.alias.hosts = seen(std::string("127.0.0.1 localhost\n127.0.0.77 host.testcontainers.internal\n"));
  facts.back = denied<ReturnFacts>();
  facts.address = first_alias_address(facts);
  CHECK(facts.address == "127.0.0.77");
  CHECK(stops_at(judge_walk(facts)).empty());
  CHECK(says(step(facts, "gateway"), "127.0.0.77 is the container's own, where lease 1a2b3c4d listens"));
  CHECK(says(step(facts, "return"), "in the container itself"));
  // Whatever the container's networks.
  opening.container = facts.container->id;
  auto without = facts;
  without.container.value->endpoints.clear();
  without.container.value->network_mode = "none";
  CHECK(says(step(without, "container"), "runs, with no address of its own (network mode none)"));
  without.openings.front().container = "another";
  CHECK(stops_at(judge_walk(without)) == "container");
  CHECK(step(without, "container").mend.ends_with("--via relay"));
  // No rule of the host is on its way.
  facts.drop = denied<std::optional<firewall::Drop>>();
  CHECK(step(facts, "firewall").status == Status::ok);
}

TEST_CASE("a relay is at the gateway of the network") {
  auto facts = open_way();
  auto& opening = facts.openings.front();
  opening.via = "relay";
  opening.in_journal = false;
  opening.at_gateway = true;
  CHECK(stops_at(judge_walk(facts)).empty());
  CHECK(says(step(facts, "gateway"), "is this host, on bridge"));
  CHECK(says(step(facts, "return"), "go back by"));
  facts.drop = seen(std::optional(drop(true)));
  facts.inside = dialled(Dialled::Outcome::timed_out);
  CHECK(stops_at(judge_walk(facts)) == "firewall");
  // A rootless engine's is in another network namespace, where rules of this host do not matter.
  opening.interface.clear();
  opening.network = "web";
  CHECK(says(step(facts, "gateway"), "is the gateway, with the socket of lease"));
  CHECK(says(step(facts, "return"), "in the engine's network namespace"));
}

TEST_CASE("without root, a fact that cannot be seen is not a failure") {
  auto facts = open_way();
  facts.alias.hosts = denied<std::string>();
  facts.openings.clear();
  facts.unseen_openings = Error::from_errno("look", EACCES);
  facts.drop = denied<std::optional<firewall::Drop>>();
  facts.inside = denied<Inside>();
  CHECK(stops_at(judge_walk(facts)).empty());
  for (const char* name : {"alias", "forward", "firewall", "connect"}) {
    const auto check = step(facts, name);
    CHECK(check.status == Status::unseen);
    CHECK(says(check, "cannot be seen as this user"));
  }
  const auto steps = judge_walk(facts);
  CHECK(std::ranges::count_if(steps, [](const Check& check) { return !check.mend.empty(); }) == 1);
  CHECK(unseen_steps(facts, steps) == std::vector<std::string>{"alias", "forward", "firewall", "connect"});
  CHECK(draw_walk(facts, steps).back().str() ==
        " ? not known to be open: alias, forward, firewall and connect cannot be seen");
  CHECK(step(facts, "gateway").status == Status::ok);
  // A connection that succeeds answers for what was not seen.
  facts.inside = dialled(Dialled::Outcome::connected);
  CHECK(unseen_steps(facts, judge_walk(facts)).empty());
}

TEST_CASE("the picture") {
  auto facts = open_way();
  facts.openings.clear();
  facts.inside = dialled(Dialled::Outcome::refused);
  const auto lines = draw_walk(facts, judge_walk(facts));
  CHECK(lines.front().str() == "app → host.testcontainers.internal:15432");
  CHECK(lines.at(1).str().starts_with(" │ ✓ container  app runs"));
  CHECK(lines.at(4).str().starts_with(" ╳ ✗ forward    no lease"));
  CHECK(lines.at(5).str() == " ┊              → tc-hostnet expose 15432 --container app");
  CHECK(lines.at(6).str().starts_with(" ┊ ✓ firewall"));
  CHECK(lines.back().str() == " ✗ it stops at: forward");
}

TEST_CASE("every line of the picture keeps its gutter and fits") {
  auto facts = open_way();
  facts.drop = seen(std::optional(drop(true)));
  facts.drop.value->value().what = "the rule with handle 7 in chain inet a-long-name-of-a-table input";
  facts.drop.value->value().remedy =
      "nft insert rule inet fence input handle 7 iifname \"br-web\" ct status dnat accept";
  facts.inside = dialled(Dialled::Outcome::timed_out);
  for (const auto width : {40UL, 80UL, 120UL}) {
    const auto lines = draw_walk(facts, judge_walk(facts), width);
    for (std::size_t i = 0; i + 1 < lines.size(); ++i) {
      CAPTURE(lines[i].str());
      CHECK(lines[i].width() <= width);
      if (i == 0 || lines[i].str().starts_with("  ")) continue;
      const auto& text = lines[i].str();
      CHECK((text.starts_with(" │ ") || text.starts_with(" ╳ ") || text.starts_with(" ┊ ")));
    }
  }
}
