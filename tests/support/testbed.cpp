// Sets up the host and its neighbourhood, and compares snapshots of it.
#include "support/testbed.hpp"

#include "core/file.hpp"
#include "core/strings.hpp"
#include "support/sockets.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <thread>

namespace test {
namespace {

hostnet::Fd enter_fresh_namespace() {
  hostnet::Fd home(check_call(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), "open ns/net"));
  check_call(::unshare(CLONE_NEWNET), "unshare");
  return home;
}

constexpr const char* kHost = R"(set -e
ip link set lo up
for bridge in br0:198.18.0.1 br1:198.18.1.1 docker0:198.18.2.1; do
  ip link add "${bridge%:*}" type bridge
  ip address add "${bridge#*:}/24" dev "${bridge%:*}"
  ip link set "${bridge%:*}" up
done
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
for table in raw mangle nat filter; do iptables-legacy -w -t "$table" -n -L >/dev/null; done
)";

// The rules of a host with Docker and fail2ban, for either kind of iptables; br0 is its network.
constexpr const char* kHostRules = R"(*raw
:PREROUTING ACCEPT [0:0]
-A PREROUTING -d 198.18.0.2/32 -i uplink0 -j DROP
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 198.18.0.0/24 ! -o br0 -j MASQUERADE
-A POSTROUTING -s 198.18.0.3/32 -d 198.18.0.3/32 -p tcp -m tcp --dport 80 -j MASQUERADE
-A DOCKER -i br0 -j RETURN
-A DOCKER ! -i br0 -p tcp -m tcp --dport 18081 -j DNAT --to-destination 198.18.0.3:80
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION - [0:0]
:DOCKER-USER - [0:0]
:banned - [0:0]
-A INPUT -p tcp -m multiport --dports 22 -j banned
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION
-A FORWARD -o br0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o br0 -j DOCKER
-A FORWARD -i br0 ! -o br0 -j ACCEPT
-A FORWARD -i br0 -o br0 -j ACCEPT
-A DOCKER -d 198.18.0.3/32 ! -i br0 -o br0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-ISOLATION -i br0 -o br1 -j DROP
-A DOCKER-ISOLATION -j RETURN
-A DOCKER-USER -j RETURN
-A banned -s 203.0.113.7/32 -j REJECT --reject-with icmp-port-unreachable
-A banned -j RETURN
COMMIT
)";

// Attaches a container: its eth0 leads to a port of the bridge, or to an interface of its own on the host.
void attach(const NetNs& netns, const std::string& port, const std::string& bridge,
            const std::string& prefix) {
  exec(fmt::format("ip link add {0} type veth peer name eth0 netns {1} && ip link set {0} {2} up", port,
                   netns.path(), bridge.empty() ? "" : "master " + bridge));
  netns.exec(
      fmt::format("set -e; ip link set eth0 up; ip address add {}/24 dev eth0\n"
                  "ip route add default via {}.1\n"
                  "sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0",
                  prefix, prefix.substr(0, prefix.rfind('.'))));
}

// The unguarded bridges, each followed by a comma.
std::string without_nft_guard(const std::set<std::string>& open) {
  const auto chain = try_exec("nft -s list chain ip tc_hostnet guard_raw").output;
  const auto bridges = try_exec("nft list set ip tc_hostnet bridges_raw").output;
  const auto has = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  };
  const bool drops = has(chain, "hook prerouting priority raw - 10; policy accept;") &&
                     has(chain, "iifname @bridges_raw ip daddr 127.0.0.0/8 counter drop") &&
                     has(chain, "iifname @bridges_raw ip saddr 127.0.0.0/8 counter drop");
  std::string out;
  // A tear-down by another process may have run in between: it has closed the bridge by now.
  for (const auto& bridge : open)
    if ((!drops || !has(bridges, '"' + bridge + '"')) && route_localnet(bridge)) out += bridge + ",";
  return out;
}

}  // namespace

bool on_nftables() {
  const char* const firewall = std::getenv("TC_HOSTNET_FIREWALL");
  if (firewall != nullptr && std::string_view(firewall) == "nftables") return true;
  if (firewall != nullptr && std::string_view(firewall) == "iptables") return false;
  throw std::runtime_error("TC_HOSTNET_FIREWALL must name the firewall under test: nftables or iptables");
}

MovedThread::MovedThread() : home_(enter_fresh_namespace()) {}

MovedThread::~MovedThread() { ::setns(home_.get(), CLONE_NEWNET); }

Testbed::Testbed(OwnRules own)
    : gateway(ip("198.18.0.1")),
      br1_gateway(ip("198.18.1.1")),
      host_gateway(ip("198.18.2.1")),
      uplink_address(ip("198.18.9.1")) {
  exec("sh", kHost);
  attach(container, "port2", "br0", "198.18.0.2");
  attach(neighbour, "port3", "br0", "198.18.0.3");
  attach(hostile, "port4", "br0", "198.18.0.4");
  attach(other, "port5", "br1", "198.18.1.2");
  attach(uplink, "uplink0", "", "198.18.9.2");
  exec("ip address add 198.18.9.1/24 dev uplink0");
  const char* const iptables = std::getenv("TC_HOSTNET_TEST_HOST");
  if (own == OwnRules::as_told && iptables != nullptr) exec(std::string(iptables) + "-restore", kHostRules);
  remember();
}

std::unique_ptr<hostnet::Exposer> Testbed::exposer(hostnet::StateCallback on_state) const {
  return hostnet::make_exposer(
      {.path = hostnet::Path::native, .runtime_dir = runtime_dir(), .on_state = std::move(on_state)});
}

hostnet::ExposeRequest Testbed::on_br0(std::vector<hostnet::HostPort> ports) {
  return {.target = hostnet::Target::bridge("br0"), .ports = std::move(ports)};
}

hostnet::ExposeRequest Testbed::for_container(std::vector<hostnet::HostPort> ports) const {
  return {.target = hostnet::Target::netns(container.path()), .ports = std::move(ports)};
}

std::string Testbed::snapshot() const {
  return exec(
      "set -e; exec 2>/dev/null; iptables-legacy-save | sed '/^#/d; s/ \\[[0-9:]*\\]$//; s/^/legacy /'\n"
      "nft -s list ruleset | sed 's/^/nft /'\n"
      "grep . /proc/sys/net/ipv4/conf/*/route_localnet\n"
      "find " +
      runtime_dir() + " -mindepth 1 | sort");
}

std::string Testbed::changes() const { return difference(before_, snapshot()); }

bool Testbed::has_ours() {
  return exec("iptables-legacy-save").find("TCHN") != std::string::npos ||
         exec("nft list ruleset").find("TCHN") != std::string::npos ||
         exec("nft list tables").find("tc_hostnet") != std::string::npos;
}

std::string Testbed::rules() {
  return exec(on_nftables() ? "nft list table ip tc_hostnet" : "iptables-legacy-save");
}

void Testbed::take_out(GuardPart part) {
  const auto chain = [](const char* table, const char* legacy, const char* nft) {
    exec(on_nftables() ? fmt::format("nft flush chain ip tc_hostnet {}", nft)
                       : fmt::format("iptables-legacy -w -t {} -F {}", table, legacy));
  };
  const auto delete_rule = [](const char* from, const char* sign) {
    exec(
        fmt::format("nft delete rule ip tc_hostnet {0} handle $(nft -a list chain ip tc_hostnet {0} | sed -n "
                    "'/{1}/s/.*handle //p')",
                    from, sign));
  };
  switch (part) {
    case GuardPart::raw:
      return chain("raw", "TCHN-RAW", "guard_raw");
    case GuardPart::raw_source:
      if (on_nftables()) return delete_rule("guard_raw", "ip saddr");
      exec("iptables-legacy -w -t raw -D TCHN-RAW 2");
      return;
    case GuardPart::input:
      // It also stands wherever the host has rules in INPUT.
      for (const char* const iptables : {"iptables-legacy", "iptables-nft"})
        try_exec(std::string(iptables) + " -w -F TCHN-IN");
      return chain("filter", "TCHN-IN", "guard_in");
    case GuardPart::output:
      return chain("mangle", "TCHN-POST", "guard_out");
    case GuardPart::input_expected:
      if (on_nftables()) delete_rule("guard_in", "ct status expected");
      for (const char* const iptables : {"iptables-legacy", "iptables-nft"})
        try_exec(std::string(iptables) + " -w -D TCHN-IN 1");
      return;
    case GuardPart::output_expected:
      if (on_nftables()) return delete_rule("guard_out", "ct status expected");
      exec("iptables-legacy -w -t mangle -D TCHN-POST 1");
      return;
  }
}

std::string Testbed::unguarded() const {
  // In this order: a concurrent set-up puts the guard in first, a tear-down removes it last.
  std::set<std::string> open;
  for (const auto* bridge : {"br0", "br1", "docker0"})
    if (route_localnet(bridge)) open.insert(bridge);
  if (open.empty()) return {};
  if (on_nftables()) return without_nft_guard(open);
  const auto raw = exec("iptables-legacy-save -t raw");
  const bool drops = raw.find("-A TCHN-RAW -d 127.0.0.0/8 -m comment") != std::string::npos &&
                     raw.find("-A TCHN-RAW -s 127.0.0.0/8 -m comment") != std::string::npos;
  std::string out;
  for (const auto& bridge : open) {
    const auto jump =
        fmt::format("-A PREROUTING -i {0} -m comment --comment \"tc-hostnet:{0}\" -j TCHN-RAW\n", bridge);
    if ((!drops || raw.find(jump) == std::string::npos) && route_localnet(bridge)) out += bridge + ",";
  }
  return out;
}

bool route_localnet(const std::string& interface) {
  return hostnet::read_file(fmt::format("/proc/sys/net/ipv4/conf/{}/route_localnet", interface)) != "0\n";
}

std::string difference(std::string_view before, std::string_view after) {
  const auto old_lines = hostnet::split(before, '\n');
  const auto new_lines = hostnet::split(after, '\n');
  const std::multiset<std::string_view> was(old_lines.begin(), old_lines.end());
  const std::multiset<std::string_view> is(new_lines.begin(), new_lines.end());
  std::vector<std::string_view> gone;
  std::vector<std::string_view> come;
  std::set_difference(was.begin(), was.end(), is.begin(), is.end(), std::back_inserter(gone));
  std::set_difference(is.begin(), is.end(), was.begin(), was.end(), std::back_inserter(come));
  std::string out;
  for (const auto line : gone) out += fmt::format("- {}\n", line);
  for (const auto line : come) out += fmt::format("+ {}\n", line);
  if (out.empty() && before != after) return "the same lines in another order\n";
  return out;
}

bool eventually(const std::function<bool()>& question, std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    if (question()) return true;
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  }
}

}  // namespace test
