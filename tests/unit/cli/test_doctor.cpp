// Doctor's findings from given facts.
#include "cli/doctor/gather.hpp"
#include "cli/doctor/judge.hpp"
#include "seen.hpp"
#include "support/addresses.hpp"
#include "support/expect_error.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/sysmacros.h>

#include <linux/capability.h>
#include <linux/netfilter.h>

#include <algorithm>

using namespace hostnet;
using namespace hostnet::cli::doctor;
using test::denied, test::seen;
using test::ip, test::says;

namespace {

// A warning or failure must have a remedy, and no other finding may have one.
void check_form(const Check& check) {
  CAPTURE(check.name);
  CAPTURE(check.finding);
  CHECK_FALSE(check.name.empty());
  CHECK_FALSE(check.finding.empty());
  CHECK(check.finding.find('\n') == std::string::npos);
  CHECK(check.mend.empty() == (check.status == Status::ok));
}

exposer::Resolved resolved(const std::string& bridge, bool up = true) {
  return {.bridge = {.ifindex = 7, .name = bridge, .kind = "bridge", .up = up},
          .gateways = {ip("198.18.0.1")}};
}

BridgeFacts good_bridge(const std::string& name) {
  return {.whose = "bridge " + name, .asked = true, .interface = name, .resolved = seen(resolved(name))};
}

EngineFacts docker() {
  return {.address = seen(engine::Address{"/run/docker.sock", "default"}),
          .answers = seen(true),
          .version = seen(engine::Version{"Docker Engine", "20.10.24", "1.41"})};
}

netlink::NftChain input_chain(const std::string& family, const std::string& table, const std::string& name) {
  return {.family = family,
          .table = table,
          .name = name,
          .base = true,
          .type = "filter",
          .hook = NF_INET_LOCAL_IN,
          .drop_policy = true};
}

netlink::Listener on(const std::string& address, std::uint16_t port, uid_t uid = 1000) {
  netlink::Listener listener{.port = port, .uid = uid};
  const auto network = ip(address).network();
  std::copy_n(reinterpret_cast<const std::uint8_t*>(&network), 4, listener.address.begin());
  return listener;
}

netlink::Listener on_ipv6_loopback(std::uint16_t port) {
  netlink::Listener listener{.ipv6 = true, .port = port, .uid = 1000};
  listener.address[15] = 1;
  return listener;
}

StateFacts holding(std::vector<std::string> ids) {
  state::Snapshot held;
  if (!ids.empty()) held.bridges.push_back({.ifindex = 7, .name = "br0"});
  for (const auto& id : ids) held.leases.push_back({.id = id, .ifindex = 7});
  return {.folder = "/run/tc-hostnet/netns-1",
          .held = seen(held),
          .deviations = seen(std::vector<std::string>{})};
}

// A healthy machine.
Facts healthy() {
  Facts facts;
  facts.kernel = {"6.1.0", true, Presence::present, Presence::present};
  facts.privilege = {0, true, true};
  facts.backend = {"/usr/sbin/xtables-nft-multi", seen(std::vector<std::string>{"filter", "nat"}),
                   seen(firewall::FirewallChoice{Firewall::iptables, "the legacy table nat is in use here"})};
  facts.lock.path = "/run/xtables.lock";
  facts.engine = docker();
  facts.bridges = {good_bridge("br0")};
  facts.input = {.chains = seen(std::vector<netlink::NftChain>{}), .nft_programs = true};
  facts.listeners = {{HostPort::same(8088), seen(std::vector{on("127.0.0.1", 8088)})}};
  facts.state = holding({});
  facts.route_localnet = {.open = seen(std::vector<std::string>{}),
                          .guarded = seen(std::vector<std::string>{})};
  facts.path = {exposer::driver_of(Path::native), {"native: the first that is usable here"}};
  facts.request = RequestFacts{};
  return facts;
}

}  // namespace

TEST_CASE("a healthy machine is ok in every respect") {
  const auto checks = judge(healthy());
  CHECK(checks.size() == 12);
  for (const auto& check : checks) {
    CAPTURE(check.finding);
    CHECK(check.status == Status::ok);
    check_form(check);
  }
}

TEST_CASE("without privilege every check gives a finding, and none crashes") {
  Facts facts = healthy();
  facts.kernel.nf_tables = Presence::unknown;
  facts.privilege = {1000, false, false};
  facts.backend.legacy_tables = denied<std::vector<std::string>>();
  facts.engine = {.address = facts.engine.address, .answers = denied<bool>()};
  facts.input = {.chains = denied<std::vector<netlink::NftChain>>()};
  facts.state = {.folder = "/run/tc-hostnet", .held = denied<state::Snapshot>()};
  facts.route_localnet = {.open = seen(std::vector<std::string>{"br0"}),
                          .guarded = denied<std::vector<std::string>>()};
  facts.alias = AliasFacts{.container = "api", .hosts = denied<std::string>()};
  facts.path = {nullptr, {"native: it needs CAP_NET_ADMIN (run it as root)"}};
  facts.request = std::nullopt;
  const auto checks = judge(facts);
  for (const auto& check : checks) check_form(check);
  const auto status_of = [&](const char* name) {
    return std::ranges::find(checks, name, &Check::name)->status;
  };
  CHECK(status_of("capabilities") == Status::fail);
  CHECK(status_of("path") == Status::fail);
  for (const char* name : {"backend", "input", "state", "route_localnet", "alias"}) {
    CAPTURE(name);
    CHECK(status_of(name) == Status::unseen);
  }
}

TEST_CASE("kernel") {
  CHECK(judge_kernel({"6.1.0", true, Presence::present, Presence::present}).finding ==
        "Linux 6.1.0 with route_localnet, ip_tables and nf_tables");
  CHECK(judge_kernel({"6.1.0", true, Presence::loadable, Presence::absent}).finding ==
        "Linux 6.1.0 with route_localnet and ip_tables (loaded when needed)");
  CHECK(judge_kernel({"6.1.0", true, Presence::present, Presence::absent}).status == Status::ok);
  CHECK(judge_kernel({"6.18.0", true, Presence::absent, Presence::present}).finding ==
        "Linux 6.18.0 with route_localnet and nf_tables");
  for (const auto& facts : {KernelFacts{"6.18.0", true, Presence::absent, Presence::absent},
                            KernelFacts{"3.2.0", false, Presence::present, Presence::present}}) {
    const auto check = judge_kernel(facts);
    CHECK(check.status == Status::fail);
    check_form(check);
  }
  CHECK(says(judge_kernel({"6.18.0", true, Presence::absent, Presence::absent}),
             "no nf_tables and no ip_tables"));
}

TEST_CASE("capabilities") {
  const exposer::Choice none{nullptr, {"native: it needs CAP_NET_ADMIN (run it as root)"}};
  CHECK(judge_privilege({0, true, true}, {exposer::driver_of(Path::native), {}}).status == Status::ok);
  CHECK(judge_privilege({1000, true, true}, {exposer::driver_of(Path::native), {}}).status == Status::warn);
  CHECK(judge_privilege({0, true, false}, none).finding ==
        "uid 0 without CAP_NET_RAW: nothing can be exposed");
  CHECK(judge_privilege({1000, false, false}, none).status == Status::fail);
}

TEST_CASE("without root, a working path is not a failure") {
  for (const auto path : {Path::helper, Path::ssh}) {
    const auto check = judge_privilege({1000, false, false}, {exposer::driver_of(path), {}});
    check_form(check);
    CHECK(check.status == Status::warn);
    CHECK(says(check, fmt::format("expose goes by {}", to_string(path))));
    CHECK(check.mend.find("sudo tc-hostnet doctor") != std::string::npos);
  }
}

TEST_CASE("backend") {
  const auto tables = seen(std::vector<std::string>{"filter", "nat"});
  const auto legacy = seen(firewall::FirewallChoice{Firewall::iptables, "it was asked for"});
  const auto nft = seen(firewall::FirewallChoice{Firewall::nftables, "it was asked for"});
  CHECK(judge_backend({"/usr/sbin/xtables-nft-multi", tables, legacy}).finding ==
        "iptables is iptables-nft; legacy tables in use: filter and nat; rules go into legacy ip_tables by "
        "libiptc: it was asked for");
  CHECK(says(judge_backend({"/usr/sbin/xtables-legacy-multi", tables, nft}),
             "iptables is iptables-legacy; legacy tables in use: filter and nat; rules go into a table of "
             "their own in nftables"));
  CHECK(says(judge_backend({"/opt/my-iptables", tables, nft}), "iptables is /opt/my-iptables;"));
  CHECK(says(judge_backend({"", seen(std::vector<std::string>{}), nft}),
             "there is no iptables command; no legacy table is in use"));
  CHECK(judge_backend({"", tables, denied<firewall::FirewallChoice>()}).status == Status::unseen);
}

TEST_CASE("xtables lock") {
  CHECK(judge_lock({"/run/xtables.lock", std::nullopt, ""}).status == Status::ok);
  const auto held = judge_lock({"/run/xtables.lock", 4711, "iptables"});
  CHECK(held.status == Status::warn);
  CHECK(says(held, "iptables (pid 4711) holds /run/xtables.lock"));
  check_form(held);
  CHECK(says(judge_lock({"/run/xtables.lock", 4711, ""}), "pid 4711 holds"));
}

TEST_CASE("engine: present, rootless, absent; and absent though the target needs one") {
  CHECK(judge_engine(docker()).finding == "Docker Engine 20.10.24 at /run/docker.sock (default)");
  auto rootless = docker();
  rootless.rootless = true;
  CHECK(judge_engine(rootless).status == Status::warn);
  CHECK(says(judge_engine(rootless), "rootless"));
  check_form(judge_engine(rootless));
  for (const auto& [address, words] :
       {std::pair{"tcp://h:1?tls=none", "plain HTTP"},
        std::pair{"tcp://127.0.0.1:1?tls=verified", "by TLS, is not known"},
        std::pair{"tcp://h:1?tls=unverified", "without a check of the certificate"}}) {
    auto far = docker();
    far.address = seen(engine::Address::recorded(address, "context far"));
    CHECK(judge_engine(far).status == Status::warn);
    CHECK(says(judge_engine(far), words));
    CHECK(says(judge_engine(far), "(context far)"));
    check_form(judge_engine(far));
  }

  EngineFacts absent{
      .address = {std::nullopt, Error(Errc::engine_unavailable, "no engine found", "start it")}};
  CHECK(judge_engine(absent) == Check{"engine", Status::warn, "no engine found", "start it"});
  absent.needed = true;
  CHECK(judge_engine(absent).status == Status::fail);
  auto hung = docker();
  hung.needed = true;
  hung.version = {std::nullopt, Error(Errc::timed_out, "GET /version: no answer in time")};
  CHECK(judge_engine(hung).status == Status::unseen);
  check_form(judge_engine(hung));
  hung.answers = {std::nullopt, Error(Errc::timed_out, "GET /_ping: no answer in time")};
  CHECK(judge_engine(hung).status == Status::fail);
  hung.needed = false;
  CHECK(judge_engine(hung).status == Status::unseen);
  check_form(judge_engine(hung));
}

TEST_CASE("an engine that does not say whether it is rootless is not called either") {
  auto silent = docker();
  silent.rootless_unknown = "GET /info: no answer in time";
  const auto check = judge_engine(silent);
  CHECK(check.status == Status::unseen);
  CHECK(says(check, "whether it runs rootless is not known: GET /info: no answer in time"));
  CHECK(check.mend == "ask it: docker info");
}

TEST_CASE("a listener elsewhere is named by its process and its container") {
  ListenerFacts facts{HostPort::same(8088), seen(std::vector<netlink::Listener>{})};
  facts.elsewhere = {{.address = "0.0.0.0:8088", .command = "nc", .pid = 4711, .container = "db"}};
  CHECK(says(judge_listener(facts), "nc (pid 4711) of container db listens on 0.0.0.0:8088"));
  CHECK(judge_listener(facts).mend.find("-p 127.0.0.1:8088:8088") != std::string::npos);
  facts.elsewhere = {{.address = "127.0.0.1:8088", .netns = "far"}};
  CHECK(says(judge_listener(facts), "a process in network namespace far listens on 127.0.0.1:8088"));
}

TEST_CASE("bridges: a fault of the target's is a failure, of another only a warning") {
  CHECK(judge_bridges({good_bridge("br0")}, docker()).front().finding == "bridge br0, gateway 198.18.0.1");
  auto facts = good_bridge("br0");
  facts.resolved = seen(resolved("br0", false));
  CHECK(judge_bridges({facts}, docker()).front() == Check{"bridge", Status::fail,
                                                          "bridge br0, gateway 198.18.0.1, but it is down",
                                                          "ip link set br0 up"});
  facts.asked = false;
  CHECK(judge_bridges({facts}, docker()).front().status == Status::warn);

  facts = {.whose = "network web",
           .asked = true,
           .interface = "br-web",
           .here = false,
           .resolved = {std::nullopt,
                        Error(Errc::no_path, "bridge 'br-web' of network web is not here", "go there")}};
  CHECK(judge_bridges({facts}, docker()).front() ==
        Check{"bridge", Status::fail, "bridge 'br-web' of network web is not here", "go there"});

  const auto none = judge_bridges({}, docker());
  REQUIRE(none.size() == 1);
  CHECK(none.front().status == Status::warn);
  check_form(none.front());
  // Without the requested engine, the check cannot judge bridges.
  CHECK(judge_bridges({}, {.needed = true, .address = denied<engine::Address>()}).empty());
}

TEST_CASE("a Podman network has no bridge before its first container, which is not a fault") {
  auto podman = docker();
  podman.version.value->product = "Podman Engine";
  podman.address.value->socket = "/run/podman/podman.sock";
  BridgeFacts facts{
      .whose = "network web",
      .interface = "podman1",
      .here = false,
      .resolved = {std::nullopt, Error(Errc::no_path, "bridge 'podman1' is not here", "go there")}};
  CHECK(judge_bridges({facts}, podman).front().status == Status::ok);
  facts.asked = true;
  CHECK(judge_bridges({facts}, podman).front().status == Status::fail);
  facts.asked = false;
  podman.rootless = true;
  CHECK(judge_bridges({facts}, podman).front().status == Status::warn);
}

TEST_CASE("input: legacy and iptables-nft policies are handled, a native chain is not") {
  InputFacts facts{
      .chains = seen(std::vector<netlink::NftChain>{}), .legacy_drop = true, .nft_programs = true};
  CHECK(judge_input(facts) ==
        std::vector{
            Check{"input", Status::ok, "legacy INPUT has policy DROP: an accept goes to its head", ""}});
  facts.legacy_drop = false;
  CHECK(judge_input(facts).front().status == Status::ok);

  facts.chains = seen(std::vector{input_chain("ip", "filter", "INPUT")});
  CHECK(judge_input(facts).front().status == Status::ok);
  CHECK(says(judge_input(facts).front(), "iptables-nft manages INPUT, policy DROP"));
  facts.nft_programs = false;
  CHECK(judge_input(facts).front().status == Status::fail);
  CHECK(judge_input(facts).front().mend == "apt-get install iptables");
  // An iptables-nft INPUT chain without effect needs none of its programs.
  facts.chains.value->front().drop_policy = false;
  CHECK(judge_input(facts).front().status == Status::ok);
}

TEST_CASE("input: a native chain that drops is named with the line for each bridge") {
  InputFacts facts{.chains = seen(std::vector{input_chain("inet", "filter", "input")}), .nft_programs = true};
  const auto chains = *facts.chains;
  for (const std::string bridge : {"br0", "br1"}) {
    auto blocker = firewall::find_blocker(
        chains, [](const auto&) { return std::vector<netlink::NftRule>{}; }, bridge);
    REQUIRE(blocker);
    facts.blocked.emplace_back(bridge, *blocker);
  }
  const auto checks = judge_input(facts);
  REQUIRE(checks.size() == 1);
  CHECK(checks.front().status == Status::fail);
  CHECK(says(checks.front(), "chain inet filter input"));
  CHECK(says(checks.front(), "br0 and br1"));
  CHECK(checks.front().mend ==
        "nft insert rule inet filter input iifname \"br0\" ct status dnat accept && "
        "nft insert rule inet filter input iifname \"br1\" ct status dnat accept");
}

TEST_CASE("listener") {
  const auto judged = [](std::vector<netlink::Listener> found) {
    return judge_listener({HostPort::same(8088), seen(std::move(found))});
  };
  CHECK(judged({on("127.0.0.1", 8088, 33)}).finding == "uid 33 listens on 127.0.0.1:8088/tcp");
  CHECK(judged({on("0.0.0.0", 8088)}).finding ==
        "uid 1000 listens on 0.0.0.0:8088/tcp, which includes 127.0.0.1:8088");
  const auto none = judged({});
  CHECK(none.status == Status::fail);
  CHECK(says(none, "nothing listens on 127.0.0.1:8088/tcp"));
  check_form(none);
  const auto six = judged({on_ipv6_loopback(8088)});
  CHECK(six.status == Status::fail);
  CHECK(says(six, "only on [::1]:8088 (uid 1000), which only the ssh path reaches"));
  CHECK(six.mend == "tc-hostnet expose 8088 --network NAME --via ssh");
  check_form(six);
  ListenerFacts by_ssh{HostPort::same(8088), seen(std::vector{on_ipv6_loopback(8088)})};
  by_ssh.origin = exposer::Origin::host;
  CHECK(judge_listener(by_ssh).finding == "uid 1000 listens on [::1]:8088/tcp");
  ListenerFacts named{HostPort::parse("8088:80"), seen(std::vector{on("127.0.0.2", 8088)})};
  named.target = Target::container("api");
  CHECK(judge_listener(named).mend ==
        "to expose 127.0.0.2:8088: tc-hostnet expose 127.0.0.2:8088:80 --container api");
  named.port = HostPort::parse("127.0.0.2:8088:80");
  CHECK(judge_listener(named).finding == "uid 1000 listens on 127.0.0.2:8088/tcp");
  CHECK(judged({on("198.18.0.1", 8088)}).mend ==
        "containers dial 198.18.0.1:8088 themselves, without an exposure");
  CHECK(says(judged({on("198.18.0.1", 8088)}), "only on 198.18.0.1:8088"));
  const auto udp = judge_listener({{53, 53, Protocol::udp}, seen(std::vector<netlink::Listener>{})});
  CHECK(udp.mend.find("ss -lunp 'sport = :53'") != std::string::npos);
}

TEST_CASE("state") {
  CHECK(judge_state(holding({})).finding == "no leases");
  CHECK(judge_state(holding({"aa"})).finding == "1 lease on 1 bridge, with every rule in place");
  auto facts = holding({"aa", "bb"});
  facts.dead = {"bb"};
  CHECK(judge_state(facts).status == Status::warn);
  CHECK(says(judge_state(facts), "2 leases on 1 bridge; ended but not released yet: bb"));
  facts = holding({"aa"});
  facts.deviations = seen(std::vector<std::string>{"table raw lacks rules of it"});
  CHECK(judge_state(facts).status == Status::fail);
  check_form(judge_state(facts));
  facts.held = {std::nullopt, Error(Errc::state_corrupt, "not a journal of leases: no object")};
  CHECK(judge_state(facts) ==
        Check{"state", Status::fail, "not a journal of leases: no object", "tc-hostnet release --all"});
}

TEST_CASE("route_localnet without a guard is reported per interface, with the command that clears it") {
  RouteLocalnetFacts facts{.open = seen(std::vector<std::string>{"br0", "br1", "eth0.5"}),
                           .guarded = seen(std::vector<std::string>{"br0"})};
  const auto checks = judge_route_localnet(facts);
  REQUIRE(checks.size() == 2);
  CHECK(checks[0].status == Status::warn);
  CHECK(says(checks[0], "every container on br1 with CAP_NET_RAW reaches all local services"));
  CHECK(checks[0].mend == "sysctl -w net.ipv4.conf.br1.route_localnet=0");
  CHECK(checks[1].mend == "sysctl -w net/ipv4/conf/eth0.5/route_localnet=0");

  facts.open = seen(std::vector<std::string>{"br0"});
  CHECK(judge_route_localnet(facts) ==
        std::vector{Check{"route_localnet", Status::ok, "on only for br0, behind the guard", ""}});
  facts.all = true;
  CHECK(judge_route_localnet(facts).front().mend == "sysctl -w net.ipv4.conf.all.route_localnet=0");
}

TEST_CASE("alias: the source of the entry") {
  AliasFacts facts{.container = "api",
                   .hosts = seen(std::string("127.0.0.1 localhost\n")),
                   .gateways = {ip("198.19.0.1"), ip("198.18.0.1")},
                   .leases = {"cafe0001"}};
  CHECK(judge_alias(facts).status == Status::ok);
  CHECK(says(judge_alias(facts), "not defined"));
  facts.promised = "cafe0001";
  CHECK(judge_alias(facts).status == Status::warn);
  check_form(judge_alias(facts));

  facts.hosts = seen(std::string("198.19.0.1 host.testcontainers.internal # tc-hostnet cafe0001\n"));
  CHECK(says(judge_alias(facts), "by lease cafe0001"));
  facts.leases.clear();
  CHECK(judge_alias(facts).status == Status::warn);
  CHECK(says(judge_alias(facts), "left by a lease that is gone"));

  facts.hosts = seen(std::string("198.18.0.1\thost.testcontainers.internal\n"));
  facts.by_extra_host = true;
  CHECK(judge_alias(facts).status == Status::ok);
  CHECK(says(judge_alias(facts), "is 198.18.0.1 in container api, by --add-host"));
  facts.hosts = seen(std::string("192.0.2.9 host.testcontainers.internal\n"));
  CHECK(judge_alias(facts).status == Status::fail);
  check_form(judge_alias(facts));
}

TEST_CASE("request: only faults that no other check reports") {
  const auto judged = [](Errc code, const std::string& what, const std::vector<Check>& others = {}) {
    return judge_request({Error(code, what, "do that")}, others);
  };
  CHECK(judge_request({}, {})->status == Status::ok);
  CHECK(judged(Errc::conflict, "port taken") ==
        Check{"request", Status::fail, "expose would refuse: port taken", "do that"});
  CHECK_FALSE(judged(Errc::firewall_blocked, "the firewall"));
  CHECK_FALSE(
      judged(Errc::not_found, "no bridge", {{"bridge", Status::fail, "network web: no bridge", "x"}}));
  CHECK(judged(Errc::not_listening, "nothing listens")->status == Status::ok);
}

TEST_CASE("/proc/locks: the holder of the lock, not its waiters or holders of others") {
  const auto device = makedev(0xfe, 0);
  const std::string text =
      "1: POSIX  ADVISORY  WRITE 11 fe:00:99 0 EOF\n"
      "2: FLOCK  ADVISORY  WRITE 22 fe:01:99 0 EOF\n"
      "3: FLOCK  ADVISORY  WRITE 33 fe:00:9 0 EOF\n"
      "4: FLOCK  ADVISORY  WRITE 44 fe:00:99 0 EOF\n"
      "4: -> FLOCK  ADVISORY  WRITE 55 fe:00:99 0 EOF\n";
  CHECK(lock_holder(text, device, 99) == 44);
  CHECK_FALSE(lock_holder(text, device, 98));
  CHECK_FALSE(lock_holder("", device, 99));
  CHECK_FALSE(lock_holder("nonsense\n1: FLOCK ADVISORY WRITE x fe:00:99 0 EOF", device, 99));
}

TEST_CASE("modules and capabilities are parsed from the kernel's text") {
  const std::string dep = "kernel/net/ipv4/netfilter/ip_tables.ko.xz: kernel/net/netfilter/x_tables.ko.xz\n";
  CHECK(lists_module(dep, "ip_tables"));
  CHECK_FALSE(lists_module(dep, "tables"));
  CHECK_FALSE(lists_module("", "ip_tables"));
  const std::string status = "Name:\tx\nCapPrm:\t0000003fffffffff\nCapEff:\t0000000000001000\n";
  CHECK(has_effective(status, CAP_NET_ADMIN));
  CHECK_FALSE(has_effective(status, CAP_NET_RAW));
  CHECK_FALSE(has_effective("", CAP_NET_ADMIN));
}

TEST_CASE("the facts of this machine can be judged, as any user") {
  const auto facts = gather(std::nullopt, {HostPort::same(1)}, {});
  for (const auto& check : judge(facts)) check_form(check);
}
