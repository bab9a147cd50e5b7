// Measures the cost of one more lease while N are held, for each firewall: in the applier alone, and in the
// store with journal, checks and sysctl. Also measures the cost of a connection at that point.
//
//   tests/support/in_namespaces BUILD/tests/bench/bench_firewall [N...]
#include "lease/owner.hpp"
#include "netlink/link.hpp"
#include "path/native/lease_store.hpp"
#include "path/native/transition.hpp"
#include "support/service.hpp"
#include "support/temp_dir.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

using namespace hostnet;

namespace {

using Clock = std::chrono::steady_clock;
constexpr int kRounds = 31;
constexpr int kConnects = 400;
const Ipv4 kGateway = Ipv4::parse("198.18.0.1").value();

Deadline soon() { return Deadline::after(std::chrono::seconds{60}); }

template <class Work>
double milliseconds(Work work) {
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

struct Cost {
  double add = 0;
  double remove = 0;
};

firewall::Forward forward(unsigned number) {
  return {.bridge = "br0",
          .gateway = kGateway,
          .source = std::nullopt,
          .listen = static_cast<std::uint16_t>(20'000 + number),
          .host = static_cast<std::uint16_t>(20'000 + number),
          .lease = fmt::format("{:08x}", number)};
}

Cost applier(Firewall kind, unsigned standing) {
  using firewall::Table;
  const auto backend = firewall::make_backend(kind);
  const std::vector<firewall::Guard> guards{{"br0", {kGateway}}};
  std::vector<firewall::Forward> forwards;
  for (unsigned i = 0; i < standing; ++i) forwards.push_back(forward(i));
  const auto before = plan(guards, forwards).of(Table::nat);
  forwards.push_back(forward(standing));
  const auto after = plan(guards, forwards).of(Table::nat);
  const auto none = firewall::plan({}, {}).of(Table::nat);
  const auto one = firewall::plan({}, std::vector{forwards.back()}).of(Table::nat);
  // Same call as in the executor.
  const auto lead = [&](const auto& whole, const auto& from, const auto& to) {
    if (backend->is_as_left())
      backend->change_forwards(from, to);
    else
      backend->apply(whole, soon());
  };
  backend->apply(before, soon());
  std::vector<double> adds;
  std::vector<double> removes;
  for (int i = 0; i < kRounds; ++i) {
    adds.push_back(milliseconds([&] { lead(after, none, one); }));
    removes.push_back(milliseconds([&] { lead(before, one, none); }));
  }
  backend->apply(none, soon());
  return {median(adds), median(removes)};
}

class Leases {
 public:
  Leases(Firewall kind, int ifindex)
      : store_(folder_.path(), kind), owner_(store_.folder()), bridge_{.ifindex = ifindex, .name = "br0"} {}

  void add(unsigned from, unsigned count) {
    std::vector<state::Lease> leases;
    for (unsigned i = from; i < from + count; ++i) {
      state::Lease lease;
      lease.id = fmt::format("{:08x}", i);
      lease.target = "bridge br0";
      lease.owner = owner_.id();
      lease.ifindex = bridge_.ifindex;
      lease.gateways = {kGateway};
      lease.ports = {HostPort::same(static_cast<std::uint16_t>(20'000 + i))};
      leases.push_back(std::move(lease));
    }
    auto transaction = store_.begin(soon());
    transaction.add(std::move(leases), std::span(&bridge_, 1));
  }
  void remove(unsigned from, unsigned count) {
    std::set<std::string> ids;
    for (unsigned i = from; i < from + count; ++i) ids.insert(fmt::format("{:08x}", i));
    auto transaction = store_.begin(soon());
    transaction.remove(ids);
    transaction.tidy();
  }

 private:
  test::TempDir folder_;
  exposer::LeaseStore store_;
  state::Owner owner_;
  state::Bridge bridge_;
};

double connect_time(const test::NetNs& container, std::uint16_t port) {
  return container.run([port] {
    std::vector<double> times;
    for (int i = 0; i < kConnects; ++i) {
      const auto socket = test::open_socket(SOCK_STREAM);
      const auto to = test::socket_address({kGateway, port});
      times.push_back(milliseconds([&] {
        test::check_call(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to),
                         "connect");
      }));
    }
    return median(times);
  });
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<unsigned> counts;
  for (int i = 1; i < argc; ++i) counts.push_back(static_cast<unsigned>(std::strtoul(argv[i], nullptr, 10)));
  if (counts.empty()) counts = {1, 100, 1'000, 10'000};
  const test::NetNs container;
  test::exec(
      fmt::format("set -e; ip link add br0 type bridge; ip address add 198.18.0.1/24 dev br0\n"
                  "ip link set br0 up; ip link add port0 type veth peer name eth0 netns {}\n"
                  "ip link set port0 master br0 up",
                  container.path()));
  container.exec("ip link set eth0 up; ip address add 198.18.0.2/24 dev eth0");
  const int ifindex = netlink::Rtnl().link("br0").value().ifindex;
  fmt::print("medians of {}, milliseconds\n", kRounds);
  fmt::print("{:10} {:>7} {:>9} {:>9} {:>9} {:>9} {:>9}\n", "", "N", "applier+", "applier-", "lease+",
             "lease-", "connect");
  for (const auto kind : {Firewall::nftables, Firewall::iptables})
    for (const auto count : counts) {
      const auto alone = applier(kind, count);
      Leases leases(kind, ifindex);
      leases.add(0, count);
      std::vector<double> adds;
      std::vector<double> removes;
      for (int i = 0; i < kRounds; ++i) {
        adds.push_back(milliseconds([&] { leases.add(count, 1); }));
        removes.push_back(milliseconds([&] { leases.remove(count, 1); }));
      }
      const auto port = static_cast<std::uint16_t>(20'000 + count - 1);
      const test::Service service(test::loopback(port), "");
      const auto connecting = connect_time(container, port);
      fmt::print("{:10} {:>7} {:>9.3f} {:>9.3f} {:>9.3f} {:>9.3f} {:>9.3f}\n", to_string(kind), count,
                 alone.add, alone.remove, median(adds), median(removes), connecting);
      std::fflush(stdout);
      leases.remove(0, count);
    }
}
