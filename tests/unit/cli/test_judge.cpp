// Doctor's judgements of rarer facts: engines, bridges, INPUT, listeners, leases and requests.
#include "cli/doctor/judge.hpp"
#include "support/addresses.hpp"
#include "unit/cli/seen.hpp"

#include <doctest/doctest.h>

#include <linux/netfilter.h>

#include <algorithm>

using namespace hostnet;
using namespace hostnet::cli::doctor;
using test::denied, test::ip, test::says, test::seen;

namespace {

EngineFacts answering(const char* product = "Docker Engine") {
  return {.address = seen(engine::Address{"/run/docker.sock", "default"}),
          .answers = seen(true),
          .version = seen(engine::Version{product, "20.10.24", "1.41"})};
}

netlink::Listener listener_on(const char* address, std::uint16_t port) {
  netlink::Listener listener{.port = port, .uid = 1000};
  const auto network = ip(address).network();
  std::copy_n(reinterpret_cast<const std::uint8_t*>(&network), 4, listener.address.begin());
  return listener;
}

Check bridge_of(const BridgeFacts& facts, const EngineFacts& engine = answering()) {
  return judge_bridges({facts}, engine).front();
}

}  // namespace

TEST_CASE("judge: an engine whose words about this machine do not count") {
  auto facts = answering();
  facts.remote = "which may be another user's (its owner is uid 1000)";
  CHECK(judge_engine(facts).status == Status::warn);
  CHECK(says(judge_engine(facts),
             "which may be another user's (its owner is uid 1000): what it says of this machine is not "
             "acted upon, so only the ssh path leads to its containers"));
  facts.rootless_unknown = "GET /info: no answer in time";
  CHECK(judge_engine(facts).status == Status::warn);  // it does not matter then
  facts.rootless = true;
  CHECK(says(judge_engine(facts), "runs rootless"));
}

TEST_CASE("judge: bridges, by what they were asked for") {
  exposer::Resolved two{.bridge = {.ifindex = 7, .name = "br-web", .kind = "bridge", .up = true},
                        .gateways = {ip("198.18.0.1"), ip("172.17.0.1")}};
  CHECK(bridge_of({.whose = "network web", .resolved = seen(two)}).finding ==
        "network web: bridge br-web, gateways 198.18.0.1 and 172.17.0.1");
  const auto without_hint = [](const char* whose, const EngineFacts& engine) {
    return bridge_of(
        {.whose = whose, .asked = true, .resolved = {std::nullopt, Error(Errc::not_found, "it is gone")}},
        engine);
  };
  CHECK(without_hint("container app", answering()) ==
        Check{"bridge", Status::fail, "container app: it is gone", "see the containers: docker ps"});
  CHECK(without_hint("network web", answering("Podman Engine")).mend ==
        "see the networks: podman network ls");
  CHECK(without_hint("bridge br0", answering()).mend == "see the bridges: ip link show type bridge");
  auto by_headers = answering();
  by_headers.podman = true;
  CHECK(without_hint("container app", by_headers).mend == "see the containers: podman ps");
  // A bridge that is not there is a fault at Docker, and at Podman if it is there after all.
  BridgeFacts missing{.whose = "network web",
                      .interface = "br1",
                      .here = false,
                      .resolved = {std::nullopt, Error(Errc::no_path, "not here")}};
  CHECK(bridge_of(missing).status == Status::warn);
  CHECK(bridge_of(missing, by_headers).status == Status::ok);
  missing.here = true;
  CHECK(bridge_of(missing, by_headers).status == Status::warn);
  // An engine that was asked for and answers has no network.
  auto needed = answering();
  needed.needed = true;
  CHECK(judge_bridges({}, needed).front().mend == "make a network: docker network create NAME");
}

TEST_CASE("judge: rules that drop, each named once") {
  InputFacts facts{.chains = seen(std::vector<netlink::NftChain>{}), .nft_programs = true};
  const firewall::Drop certain{.certain = true, .what = "rule 1", .remedy = "mend 1"};
  auto rejecting = certain;
  rejecting.rejects = true;
  rejecting.what = "rule 2";
  auto doubtful = certain;
  doubtful.certain = false;
  doubtful.what = "rule 3";
  auto both = doubtful;
  both.rejects = true;
  both.what = "rule 4";
  facts.drops = {{"br0", certain}, {"br1", certain}, {"br0", rejecting}, {"br0", doubtful}, {"br0", both}};
  facts.unread = "iptables-nft-save fails";
  facts.unreadable = "rules of a chain changed meanwhile";
  const auto checks = judge_input(facts);
  REQUIRE(checks.size() == 6);
  CHECK(checks[0] == Check{"input", Status::fail, "rule 1 drops connections from br0", "mend 1"});
  CHECK(checks[1].finding == "rule 2 rejects connections from br0");
  CHECK(checks[2] == Check{"input", Status::warn, "rule 3 may drop connections from br0", "mend 1"});
  CHECK(checks[3].finding == "rule 4 may reject connections from br0");
  CHECK(checks[4].status == Status::unseen);
  CHECK(says(checks[4], "a part of the rules was not readable: iptables-nft-save fails"));
  CHECK(checks[5].status == Status::warn);
  facts.chains = denied<std::vector<netlink::NftChain>>();
  CHECK(judge_input(facts).front().status == Status::unseen);
}

TEST_CASE("judge: iptables-nft's INPUT decides by its rules, too") {
  netlink::NftChain input{
      .family = "ip", .table = "filter", .name = "INPUT", .base = true, .hook = NF_INET_LOCAL_IN, .use = 2};
  InputFacts facts{.chains = seen(std::vector{input}), .nft_programs = true};
  CHECK(judge_input(facts).front().finding ==
        "iptables-nft manages INPUT: an accept goes to its head, by iptables-nft-restore");
}

TEST_CASE("judge: listeners elsewhere, and where no advice helps") {
  ListenerFacts facts{HostPort::same(8088), seen(std::vector<netlink::Listener>{})};
  facts.elsewhere = {{.address = "127.0.0.1:8088", .pid = 4711}};
  CHECK(says(judge_listener(facts), "pid 4711 in another network namespace listens on 127.0.0.1:8088"));
  CHECK(judge_listener(facts).mend == "start the service in this network namespace, bound to 127.0.0.1:8088");
  facts.listeners = denied<std::vector<netlink::Listener>>();
  CHECK(judge_listener(facts).status == Status::unseen);
  ListenerFacts by_socket{HostPort::parse("/run/db.sock:5432"), denied<std::vector<netlink::Listener>>()};
  CHECK(judge_listener(by_socket).finding == "the service is the Unix socket /run/db.sock");
  // A target without an ssh path: nothing else serves ::1.
  auto six = netlink::Listener{.ipv6 = true, .port = 8088, .uid = 1000};
  six.address[15] = 1;
  ListenerFacts on_bridge{HostPort::same(8088), seen(std::vector{six})};
  on_bridge.target = Target::bridge("br0");
  CHECK(judge_listener(on_bridge).status == Status::fail);
  CHECK(judge_listener(on_bridge).mend ==
        "also bind the service to 127.0.0.1:8088; to check: ss -ltnp 'sport = :8088'");
  on_bridge.target = Target::network("web");
  CHECK(judge_listener(on_bridge).mend == "tc-hostnet expose 8088 --network web --via ssh");
  on_bridge.listeners = seen(std::vector{listener_on("127.0.0.2", 8088)});
  on_bridge.target = Target::bridge("br0");
  CHECK(judge_listener(on_bridge).mend.find("tc-hostnet expose 127.0.0.2:8088 --bridge br0") !=
        std::string::npos);
}

TEST_CASE("judge: leases beside the journal, and rules that are not readable") {
  StateFacts facts{.held = seen(state::Snapshot{}), .deviations = seen(std::vector<std::string>{})};
  facts.others = {"1a2b3c4d by ssh for container api"};
  CHECK(judge_state(facts).finding == "1a2b3c4d by ssh for container api");
  facts.held.value->leases = {{.id = "aa", .ifindex = 7}, {.id = "bb", .ifindex = 8}};
  facts.held.value->bridges = {{.ifindex = 7, .name = "br0"}, {.ifindex = 8, .name = "br1"}};
  CHECK(judge_state(facts).finding ==
        "2 leases on 2 bridges, with every rule in place; beside them 1a2b3c4d by ssh for container api");
  facts.deviations = denied<std::vector<std::string>>();
  CHECK(judge_state(facts).status == Status::unseen);
  facts.held = denied<state::Snapshot>();
  CHECK(judge_state(facts).status == Status::unseen);
}

TEST_CASE("judge: switches and guards that are not readable") {
  RouteLocalnetFacts facts{.open = denied<std::vector<std::string>>(),
                           .guarded = seen(std::vector<std::string>{})};
  CHECK(judge_route_localnet(facts).front().status == Status::unseen);
  facts.open = seen(std::vector<std::string>{"br0"});
  facts.guarded = denied<std::vector<std::string>>();
  CHECK(says(judge_route_localnet(facts).front(), "on for br0; the guards are not readable"));
}

TEST_CASE("judge: an alias that a user's entry defines") {
  AliasFacts facts{.container = "api",
                   .hosts = seen(std::string("192.0.2.9 host.testcontainers.internal\n"))};
  CHECK(judge_alias(facts).status == Status::ok);  // where it should lead is not known
  CHECK(says(judge_alias(facts), "is 192.0.2.9 in container api, by an entry of the container's own"));
  facts.gateways = {ip("198.18.0.1")};
  facts.hosts = seen(std::string("fe80::1 host.testcontainers.internal\n"));
  CHECK(judge_alias(facts).status == Status::fail);
  facts.hosts = denied<std::string>();
  CHECK(judge_alias(facts).status == Status::unseen);
}

TEST_CASE("judge: a refusal without a hint, and one that another check only warns of") {
  const RequestFacts facts{Error(Errc::conflict, "port taken")};
  CHECK(judge_request(facts, {{"bridge", Status::warn, "network web: port taken", "x"}})->mend ==
        "fix that, and run again: tc-hostnet doctor");
  CHECK(judge_request(facts, {{"bridge", Status::fail, "something else", "x"}})->status == Status::fail);
  CHECK_FALSE(judge_request(facts, {{"bridge", Status::fail, "network web: port taken", "x"}}));
}

TEST_CASE("judge: kernels, words for a status, and what cannot be seen for other reasons than privilege") {
  CHECK(judge_kernel({"6.1.0", true, Presence::loadable, Presence::loadable}).finding ==
        "Linux 6.1.0 with route_localnet, ip_tables (loaded when needed) and nf_tables (not loaded)");
  CHECK(judge_kernel({"6.1.0", true, Presence::present, Presence::unknown})
            .finding.ends_with("; nf_tables is unknown"));
  CHECK(std::string(to_string(Status::ok)) == "ok");
  CHECK(std::string(to_string(Status::warn)) == "warn");
  CHECK(std::string(to_string(Status::unseen)) == "unseen");
  CHECK(std::string(to_string(Status::fail)) == "fail");
  CHECK(unseen("x", "it", Error(Errc::timed_out, "no answer")) ==
        Check{"x", Status::unseen, "it: no answer", "run again: tc-hostnet doctor"});
  CHECK(unseen("x", "it", Error(Errc::timed_out, "no answer", "wait")).mend == "wait");
}
