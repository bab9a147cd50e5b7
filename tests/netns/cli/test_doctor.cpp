// `tc-hostnet doctor` on healthy hosts, and on hosts with one fault. Each host is its own namespace.
#include "core/fd.hpp"
#include "core/file.hpp"
#include "core/json.hpp"
#include "support/netns.hpp"
#include "support/sockets.hpp"
#include "support/temp_dir.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/un.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

using namespace hostnet;
using namespace test;

namespace {

std::string command() {
  const char* const path = std::getenv("TC_HOSTNET");
  if (path == nullptr) throw std::runtime_error("TC_HOSTNET does not name the command");
  return path;
}

struct Diagnosis {
  int status = 0;
  json::Value checks;
  bool ok = false;

  // All findings of that name, worst first.
  [[nodiscard]] std::vector<json::View> of(const std::string& name) const {
    std::vector<json::View> out;
    std::ranges::copy_if(checks.view().elements(), std::back_inserter(out),
                         [&](json::View check) { return check.find("name").text() == name; });
    std::ranges::stable_sort(out, {}, [](json::View check) {
      const auto how = check.find("status").text();
      return how == "fail" ? 0 : how == "unseen" ? 1 : how == "warn" ? 2 : 3;
    });
    return out;
  }
  [[nodiscard]] json::View worst(const std::string& name) const {
    const auto found = of(name);
    if (found.empty()) throw std::runtime_error("no check " + name + " in " + checks.dump());
    return found.front();
  }
  [[nodiscard]] std::string status_of(const std::string& name) const { return text(name, "status"); }
  [[nodiscard]] std::string finding(const std::string& name) const { return text(name, "finding"); }
  [[nodiscard]] std::string mend(const std::string& name) const { return text(name, "mend"); }

 private:
  [[nodiscard]] std::string text(const std::string& name, const char* member) const {
    return std::string(worst(name).find(member).text().value());
  }
};

// A host with a bridge and without an engine.
class Host : public NetNs {
 public:
  Host() { add_bridge("br0", "198.18.0.1/24"); }

  void add_bridge(const std::string& name, const std::string& address) const {
    exec(fmt::format("ip link add {0} type bridge && ip address add {1} dev {0} && ip link set {0} up", name,
                     address));
  }
  [[nodiscard]] Diagnosis doctor(const std::string& arguments = {}, const std::string& before = {}) const {
    const auto outcome = try_exec(
        fmt::format("env -u DOCKER_HOST {} {} doctor --json {} 2>/dev/null", before, command(), arguments));
    CAPTURE(outcome.output);
    const auto parsed = json::parse(outcome.output);
    const auto object = parsed.view();
    REQUIRE(object.find("schema").integer() == 1);
    const auto ok = object.find("ok").flag();
    CHECK(ok == (outcome.status == 0));
    for (const auto check : object.find("checks").elements())
      CHECK(check.find("mend").is_null() == (check.find("status").text() == "ok"));
    return {outcome.status, json::parse(object.find("checks").dump()), ok.value()};
  }
  [[nodiscard]] Fd service(const std::string& address, std::uint16_t port) const {
    return run([&] { return listen_on({ip(address), port}); });
  }
  // Everything that a check must leave unchanged.
  [[nodiscard]] std::string state() const {
    return exec(
        "cat /proc/self/net/ip_tables_names; nft list ruleset; grep -H . "
        "/proc/sys/net/ipv4/conf/*/route_localnet; "
        "ip -o link; find \"$TC_HOSTNET_RUNTIME_DIR\"");
  }
};

}  // namespace

TEST_CASE("a healthy host: exit code 0, nothing changed, and no ip_tables table created") {
  const Host host;
  const auto service = host.service("127.0.0.1", 8088);
  const auto before = host.state();
  const auto found = host.doctor("8088 --bridge br0");
  CHECK(found.status == 0);
  CHECK(found.status_of("kernel") == "ok");
  CHECK(found.status_of("capabilities") == "ok");
  CHECK(found.finding("bridge") == "bridge br0, gateway 198.18.0.1");
  CHECK(found.finding("listener") == "uid 0 listens on 127.0.0.1:8088/tcp");
  CHECK(found.finding("backend").find("no legacy table is in use") != std::string::npos);
  CHECK(found.status_of("input") == "ok");
  CHECK(found.status_of("path") == "ok");
  CHECK(found.status_of("request") == "ok");
  CHECK(host.state() == before);
  CHECK(host.exec("cat /proc/self/net/ip_tables_names").empty());
}

TEST_CASE("text: one line per check, with a mark, and a line below it for each remedy") {
  const Host host;
  const auto text = host.exec(command() + " doctor --bridge br0 2>/dev/null");
  CHECK(text.find("✓ bridge: bridge br0, gateway 198.18.0.1\n") != std::string::npos);
  CHECK(text.find("! engine: ") != std::string::npos);
  CHECK(text.find("\n    → start the engine") != std::string::npos);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(host.exec(command() + " --color always doctor --bridge br0 2>/dev/null").find("\x1b[32m✓\x1b[0m") !=
        std::string::npos);
}

TEST_CASE("a native nft chain with policy drop fails with the line that opens it, and that line does") {
  const Host host;
  host.nft(
      "table inet fence { chain input { type filter hook input priority 0; policy drop; iif lo accept; }; }");
  const auto found = host.doctor("--bridge br0");
  CHECK(found.status == 1);
  CHECK(found.status_of("input") == "fail");
  CHECK(found.finding("input").find("inet fence input") != std::string::npos);
  CHECK(found.mend("input") == "nft insert rule inet fence input iifname \"br0\" ct status dnat accept");
  host.exec(found.mend("input"));
  CHECK(host.doctor("--bridge br0").status == 0);
}

TEST_CASE("a rule that drops is named with its handle, though the policy accepts, and its line mends it") {
  const Host host;
  for (const char* const chain : {"type filter hook prerouting priority -300; tcp dport 8088 drop;",
                                  "type filter hook input priority 0; iifname br0 drop;",
                                  "type filter hook output priority 0; drop;"}) {
    CAPTURE(chain);
    host.nft(fmt::format("table inet fence {{ chain c {{ {} }}; }}", chain));
    const auto found = host.doctor("8088 --bridge br0");
    CHECK(found.status_of("input") == "fail");
    CHECK(found.finding("input").find("in chain inet fence c drops connections from br0") !=
          std::string::npos);
    host.exec(found.mend("input"));
    CHECK(host.doctor("8088 --bridge br0").status_of("input") == "ok");
    host.exec("nft delete table inet fence");
  }
  CHECK(host.exec("cat /proc/self/net/ip_tables_names").empty());
}

TEST_CASE("INPUT policies that tc-hostnet handles are not a fault") {
  const Host nft;
  nft.exec("iptables-nft -P INPUT DROP");
  const auto managed = nft.doctor("--bridge br0");
  CHECK(managed.status == 0);
  CHECK(managed.finding("input").find("iptables-nft manages INPUT, policy DROP") == 0);

  const Host legacy;
  legacy.exec("iptables-legacy -w -P INPUT DROP");
  const auto dropping = legacy.doctor("--bridge br0");
  CHECK(dropping.status == 0);
  CHECK(dropping.finding("input") == "legacy INPUT has policy DROP: an accept goes to its head");
  CHECK(legacy.exec("cat /proc/self/net/ip_tables_names") == "filter\n");
}

TEST_CASE("a foreign route_localnet=1 is reported, with what it opens and what ends it") {
  const Host host;
  host.add_bridge("br1", "198.18.1.1/24");
  host.exec("echo 1 > /proc/sys/net/ipv4/conf/br1/route_localnet");
  const auto found = host.doctor("--bridge br0");
  CHECK(found.status == 0);  // a warning is not a failure
  CHECK(found.status_of("route_localnet") == "warn");
  CHECK(found.finding("route_localnet") ==
        "on for br1 without a guard: every container on br1 with CAP_NET_RAW reaches all local services");
  host.exec(found.mend("route_localnet"));
  CHECK(host.doctor("--bridge br0").status_of("route_localnet") == "ok");
}

TEST_CASE("bridges: down, without an address, not a bridge, absent, leading out of the machine") {
  const Host host;
  host.exec("ip link set br0 down");
  auto found = host.doctor("--bridge br0");
  CHECK(found.status == 1);
  CHECK(found.mend("bridge") == "ip link set br0 up");
  host.exec(found.mend("bridge"));
  CHECK(host.doctor("--bridge br0").status == 0);

  host.exec("ip link add br1 type bridge");
  CHECK(host.doctor("--bridge br1").finding("bridge").find("no IPv4 address") != std::string::npos);
  CHECK(host.doctor("--bridge lo").finding("bridge").find("not a bridge") != std::string::npos);
  CHECK(host.doctor("--bridge br9").finding("bridge").find("there is no bridge 'br9'") != std::string::npos);
  host.exec(
      "ip link add out0 type bridge && ip link add link br1 name out1 type macvlan && ip link set out1 "
      "master br0");
  found = host.doctor("--bridge br0");
  CHECK(found.status == 1);
  CHECK(found.finding("bridge").find("leads out of this machine by its port out1") != std::string::npos);
  // Without a target, doctor checks all bridges, and a fault of one of them is only a warning.
  found = host.doctor();
  CHECK(found.status == 0);
  CHECK(found.of("bridge").size() == 3);
}

TEST_CASE("listeners: none, only on ::1, and a service that blocks the gateway's port") {
  const Host host;
  auto found = host.doctor("8088 --bridge br0");
  CHECK(found.status == 1);
  CHECK(found.finding("listener") == "nothing listens on 127.0.0.1:8088/tcp: containers are refused");
  {
    const auto six = host.run([] { return listen_on(in6addr_loopback, 8088, true); });
    CHECK(host.doctor("8088 --bridge br0").finding("listener").find("only on [::1]:8088 (uid 0)") !=
          std::string::npos);
  }
  const auto service = host.service("127.0.0.1", 8088);
  CHECK(host.doctor("8088 --bridge br0").status == 0);
  const auto in_the_way = host.service("198.18.0.1", 9090);
  found = host.doctor("8088:9090 --bridge br0");
  CHECK(found.status == 1);
  CHECK(found.finding("request").find("listens on 198.18.0.1:9090 already") != std::string::npos);
}

TEST_CASE("an engine that accepts the connection and never answers costs at most two seconds") {
  const Host host;
  const TempDir dir;
  const auto path = (dir.path() / "engine.sock").string();
  const Fd engine(check_call(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  sockaddr_un address{.sun_family = AF_UNIX};
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  check_call(::bind(engine.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  check_call(::listen(engine.get(), 8), "listen");

  const auto start = std::chrono::steady_clock::now();
  const auto found = host.doctor("", "DOCKER_HOST=unix://" + path);
  const auto taken = std::chrono::steady_clock::now() - start;
  CHECK(found.status_of("engine") == "unseen");
  CHECK(found.finding("engine").find("no answer in time") != std::string::npos);
  CHECK(found.status_of("bridge") == "ok");  // the local bridge can still be checked
  const auto needed = host.doctor("8088 --network web", "DOCKER_HOST=unix://" + path);
  CHECK(needed.status == 1);
  CHECK(needed.status_of("engine") == "fail");
  CHECK(taken < std::chrono::seconds{6});
}

TEST_CASE("leases: intact, with their guard gone, and left by an owner that was killed") {
  const Host host;
  const auto service = host.service("127.0.0.1", 8088);
  host.exec(command() + " -q expose 8088 --bridge br0 --detach");
  auto found = host.doctor("--bridge br0");
  CHECK(found.finding("state") == "1 lease on 1 bridge, with every rule in place");
  CHECK(found.finding("route_localnet") == "on only for br0, behind the guard");

  const auto lease = json::parse(host.exec(command() + " list --json"));
  const auto owner = static_cast<pid_t>(lease.view().find("owner").find("pid").integer().value());
  REQUIRE(owner > 1);
  REQUIRE(::kill(owner, SIGSTOP) == 0);  // or it would put the rules back
  // Its other threads run until the first thread is scheduled and takes the signal.
  for (int look = 0; look < 3000 && process_stat(owner)->state != 'T'; ++look)
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  REQUIRE(process_stat(owner)->state == 'T');
  host.exec("iptables-legacy -w -t raw -F");
  found = host.doctor("--bridge br0");
  CHECK(found.status == 1);
  CHECK(found.status_of("state") == "fail");
  CHECK(found.finding("route_localnet").find("on for br0 without a guard") == 0);

  REQUIRE(::kill(owner, SIGKILL) == 0);
  while (::kill(owner, 0) == 0 && host.doctor("--bridge br0").status_of("state") == "fail")
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
  found = host.doctor("--bridge br0");
  CHECK(found.status_of("state") == "warn");
  CHECK(found.finding("state").find(lease.view().find("id").text().value()) != std::string::npos);
  host.exec(command() + " list");
  CHECK(host.doctor("--bridge br0").finding("state") == "no leases");
  CHECK(host.doctor("--bridge br0").status_of("route_localnet") == "ok");
}

TEST_CASE("a held xtables lock is reported with its holder") {
  const Host host;
  const Fd lock(check_call(::open("/run/xtables.lock", O_RDONLY | O_CLOEXEC), "open"));
  check_call(::flock(lock.get(), LOCK_EX | LOCK_NB), "flock");
  const auto found = host.doctor("--bridge br0");
  CHECK(found.status_of("xtables-lock") == "warn");
  CHECK(found.finding("xtables-lock").find(fmt::format("(pid {})", ::getpid())) != std::string::npos);
}

TEST_CASE("without privilege it reports what it cannot see, and fails for that reason") {
  const Host host;
  const auto service = host.service("127.0.0.1", 8088);
  const auto found = host.doctor("8088 --bridge br0", "setpriv --reuid 65534 --regid 65534 --clear-groups");
  CHECK(found.status == 1);
  CHECK(found.status_of("capabilities") == "fail");
  CHECK(found.status_of("path") == "fail");
  CHECK(found.status_of("input") == "unseen");
  CHECK(found.status_of("backend") == "unseen");
  CHECK(found.status_of("bridge") == "ok");
  CHECK(found.status_of("listener") == "ok");
  CHECK(found.of("request").empty());
}

TEST_CASE("wrong usage gives exit code 2 and one line") {
  const Host host;
  for (const char* const arguments : {"0", "65536", "80:80:80", "--bridge br0 --network web",
                                      "--bridge 'br0;reboot'", "--bridge sixteen-letters-", "--nonsense"}) {
    CAPTURE(arguments);
    const auto outcome = host.try_exec(fmt::format("{} doctor {}", command(), arguments));
    CHECK(outcome.status == 2);
    CHECK(std::ranges::count(outcome.output, '\n') == 1);
  }
}
