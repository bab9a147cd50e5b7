// Follows a container's packet: reads the engine and the leases and, as root, dials from inside the
// container.
#include "cli/doctor/gather.hpp"
#include "cli/doctor/later.hpp"
#include "cli/doctor/walk.hpp"
#include "cli/helper_view.hpp"
#include "cli/record_view.hpp"
#include "core/fd.hpp"
#include "core/file.hpp"
#include "core/loopback.hpp"
#include "core/strings.hpp"
#include "core/thread.hpp"
#include "engine/containers.hpp"
#include "engine/exec_alias.hpp"
#include "netlink/link.hpp"
#include "netlink/route.hpp"
#include "path/helper/helper.hpp"
#include "path/native/native.hpp"
#include "path/paths.hpp"
#include "path/relay/container_net.hpp"
#include "path/relay/relay_path.hpp"
#include "path/sidecar/labels.hpp"
#include "target/named.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

namespace hostnet::cli::doctor {
namespace {

constexpr std::chrono::seconds kWalkEngineSpan{2};
// The kernel resends a lost SYN after 1 s: this allows one resend.
constexpr std::chrono::milliseconds kDialSpan{1200};
constexpr std::chrono::milliseconds kWalkRulesSpan{1500};

std::vector<std::string> texts(const std::vector<Ipv4>& addresses) {
  std::vector<std::string> out;
  for (const auto address : addresses) out.push_back(address.to_string());
  return out;
}

void add_native(std::vector<Opening>& openings, const StateFacts& state) {
  for (const auto& lease : state.held->leases) {
    const auto* const bridge = state.held->bridge(lease.ifindex);
    Opening opening;
    opening.lease = lease.id;
    opening.via = to_string(exposer::path_of(lease));
    opening.in_journal = true;
    opening.target = lease.target;
    if (bridge != nullptr) opening.interface = bridge->name;
    opening.addresses = texts(lease.gateways);
    opening.sources = texts(lease.sources);
    opening.ports = lease.ports;
    opening.dead = std::ranges::find(state.dead, lease.id) != state.dead.end();
    openings.push_back(std::move(opening));
  }
}

void add_helpers(std::vector<Opening>& openings) {
  for (const auto& lease : look_at_helper()) {
    Opening opening;
    opening.lease = lease.id;
    opening.via = exposer::kHelperPath.name;
    opening.target = lease.label.empty() ? "bridge " + lease.interface : lease.label;
    opening.interface = lease.interface;
    opening.addresses = {lease.gateway};
    opening.sources = lease.sources;
    opening.ports = lease.ports;
    openings.push_back(std::move(opening));
  }
}

void add_recorded(std::vector<Opening>& openings, const std::string& runtime_dir, bool bridges_are_here) {
  const state::TunnelStore store(runtime_dir);
  const auto here = relay::own_netns_inode();
  for (const auto& [driver, record] : exposer::recorded_leases(exposer::paths(), store.load())) {
    // At a bridge of that name, of a rootless engine.
    if (bridges_are_here && record.bridge_netns != 0 && record.bridge_netns != here) continue;
    Opening opening;
    opening.lease = record.id;
    opening.via = driver->name;
    opening.target = record.target;
    opening.at_gateway = !record.bridge.empty();
    // A rootless engine's bridge is in another network namespace.
    if (opening.at_gateway && bridges_are_here)
      opening.interface = record.bridge;
    else
      opening.network = record.network;
    opening.container = record.container;
    if (!record.address.empty()) opening.addresses = {record.address};
    if (!record.sidecar.empty()) opening.sidecar = "tc-hostnet-" + record.id;
    const auto& tunnel = record.stats.state;
    if (!tunnel.empty() && tunnel != "up")
      opening.tunnel = record.stats.reason.empty() ? tunnel : record.stats.reason;
    opening.sources = record.sources;
    opening.ports = record.ports;
    if (!record.container.empty() && !record.address.empty())
      for (std::size_t i = 0; i < record.ports.size(); ++i)
        opening.listens.push_back(state::listens_at(record, i));
    opening.dead = !store.is_alive(record);
    openings.push_back(std::move(opening));
  }
}

// What the engine says of the sidecars, and the sidecars of other users' leases on the container's networks.
void look_at_sidecars(WalkFacts& facts) {
  engine::Client client(*facts.engine.address);
  engine::Containers containers(client);
  const auto deadline = Deadline::after(kWalkEngineSpan);
  const auto sidecars = see([&] { return containers.list({exposer::kLeaseLabel}, deadline); });
  if (!sidecars) return;
  const auto addresses_on = [](const engine::Container& sidecar, const std::string& network) {
    std::vector<std::string> out;
    for (const auto& endpoint : sidecar.endpoints)
      if (endpoint.network == network)
        for (const auto& address : endpoint.addresses()) out.push_back(address.to_string());
    return out;
  };
  for (auto& opening : facts.openings) {
    if (opening.sidecar.empty()) continue;
    const auto found = std::ranges::find(*sidecars, opening.sidecar, &engine::ContainerSummary::name);
    opening.sidecar_state = found == sidecars->end() ? "gone" : found->state;
    if (found == sidecars->end()) continue;
    // The record has one address; the name may lead to two.
    if (const auto now = see([&] { return client.container(found->id, deadline); }))
      if (auto addresses = addresses_on(*now, opening.network); !addresses.empty())
        opening.addresses = std::move(addresses);
  }
  for (const auto& sidecar : *sidecars) {
    const auto lease = sidecar.labels.at(exposer::kLeaseLabel);
    if (std::ranges::find(facts.openings, lease, &Opening::lease) != facts.openings.end()) continue;
    const auto found = see([&] { return client.container(sidecar.id, deadline); });
    if (!found) continue;
    for (const auto& endpoint : found->endpoints) {
      const auto& own = facts.container->endpoints;
      if (std::ranges::find(own, endpoint.network, &engine::Endpoint::network) == own.end()) continue;
      Opening opening;
      opening.lease = lease;
      opening.via = "ssh";
      opening.network = endpoint.network;
      opening.addresses = addresses_on(*found, endpoint.network);
      opening.sidecar = sidecar.name;
      opening.sidecar_state = sidecar.state;
      opening.foreign = true;
      facts.openings.push_back(std::move(opening));
    }
  }
}

// A container on several networks: looks at the one whose bridge has the lease for the port. If several have one, it is
// that of the lease whose line comes first in the hosts file, which a resolver takes.
void choose_bridge(WalkFacts& facts, const std::string& engine) {
  const auto lines = facts.alias.hosts ? engine::first_definitions(*facts.alias.hosts, kAlias)
                                       : std::vector<engine::Definition>();
  const auto is_resolved = [&](const Opening& opening) {
    return facts.bridge.resolved && facts.bridge.resolved->bridge.name == opening.interface;
  };
  const Opening* chosen = nullptr;
  for (const auto& opening : facts.openings) {
    if (opening.interface.empty() || opening.dead) continue;
    const bool has_port = std::ranges::any_of(opening.ports, [&](const HostPort& port) {
      return port.container == facts.port.container && port.protocol == facts.port.protocol;
    });
    const bool is_here =
        std::ranges::any_of(facts.container->endpoints, [&](const engine::Endpoint& endpoint) {
          const auto is_in = [](const std::vector<std::string>& list, const std::optional<Ipv4>& address) {
            return address && std::ranges::find(list, address->to_string()) != list.end();
          };
          return is_in(opening.addresses, endpoint.gateway) &&
                 (opening.sources.empty() || is_in(opening.sources, endpoint.address));
        });
    if (!has_port || !is_here) continue;
    const auto rank = [&](const Opening& one) {
      return !lines.empty() && lines.front().lease == one.lease ? 2 : is_resolved(one) ? 1 : 0;
    };
    if (chosen == nullptr || rank(opening) > rank(*chosen)) chosen = &opening;
  }
  if (chosen == nullptr || is_resolved(*chosen)) return;
  netlink::Rtnl rtnl;
  exposer::Resolver resolver(rtnl, engine);
  auto resolved = see([&] {
    return resolver.resolve(Target::bridge(chosen->interface), false, false,
                            Deadline::after(kWalkEngineSpan));
  });
  if (resolved) facts.bridge.resolved = std::move(resolved);
}

std::string down_port(const BridgeFacts& bridge) {
  if (!bridge.resolved || bridge.resolved->port.name.empty()) return {};
  const auto link = see([&] { return netlink::Rtnl().link(bridge.resolved->port.name); });
  return link && *link && !(*link)->up ? (*link)->name : std::string();
}

// The container's own address on the network of that bridge or sidecar.
std::optional<Ipv4> own_address(const WalkFacts& facts, const Opening* opening) {
  for (const auto& endpoint : facts.container->endpoints) {
    if (!endpoint.address) continue;
    if (opening != nullptr && !opening->network.empty()) {
      if (endpoint.network == opening->network) return endpoint.address;
    } else if (facts.bridge.resolved && endpoint.gateway &&
               std::ranges::find(facts.bridge.resolved->gateways, *endpoint.gateway) !=
                   facts.bridge.resolved->gateways.end()) {
      return endpoint.address;
    }
  }
  return std::nullopt;
}

// ssh and relay dial the service from this host.
bool goes_by_host(const Opening* opening) {
  return opening != nullptr && (!opening->network.empty() || opening->via == exposer::kRelayPath.name);
}

// To a sidecar, which packets of a container without an IPv4 address reach, too: not those that the rules are compared with.
bool goes_by_sidecar_alone(const Opening& opening) {
  return !opening.network.empty() && opening.via != exposer::kRelayPath.name;
}

// To a socket of the relay at this host's address on the bridge, which joins it with the service.
bool goes_by_gateway(const Opening& opening) { return opening.at_gateway && !opening.interface.empty(); }

// Where a forward leads to.
Ipv4 service_address(const WalkFacts& facts) { return ipv4_of(facts.listener.port).value_or(kLoopback); }

// The connection as the host's hooks see it.
firewall::Passage passage_of(const WalkFacts& facts, const Opening* opening, Ipv4 source) {
  firewall::Passage passage{.source = {source, 32},
                            .dialled_port = facts.port.container,
                            .host_port = facts.listener.port.host,
                            .protocol = facts.port.protocol,
                            .bridge_calls_iptables = firewall::bridge_calls_iptables(),
                            .service = service_address(facts)};
  if (facts.bridge.resolved) {
    passage.bridge = facts.bridge.resolved->bridge.name;
    passage.port = facts.bridge.resolved->port.name;
    if (!facts.bridge.resolved->gateways.empty()) passage.dialled = facts.bridge.resolved->gateways.front();
  }
  if (const auto alias = Ipv4::parse(facts.address); alias && facts.bridge.resolved)
    for (const auto gateway : facts.bridge.resolved->gateways)
      if (gateway == *alias) passage.dialled = gateway;
  if (opening != nullptr && goes_by_gateway(*opening)) {
    passage.dnat = false;
    passage.service = passage.dialled;
    passage.host_port = passage.dialled_port;
  }
  if (opening == nullptr || opening->network.empty()) return passage;
  passage.to_sidecar = true;
  if (!opening->addresses.empty())
    passage.dialled = Ipv4::parse(opening->addresses.front()).value_or(passage.dialled);
  const auto network = see([&] {
    return engine::Client(*facts.engine.address).network(opening->network, Deadline::after(kWalkEngineSpan));
  });
  passage.bridge = network ? network->bridge : "";
  passage.port.clear();
  netlink::Rtnl rtnl;
  const auto link = rtnl.link(passage.bridge);
  // A rootless engine's bridges are in its own network namespace, where these rules are not, and may have a namesake here.
  const bool is_here = link && !facts.engine.rootless && facts.engine.remote.empty();
  if (!is_here) passage.bridge.clear();
  if (is_here) {
    const auto port =
        see([&] { return exposer::bridge_port_of(rtnl, facts.container->pid, link->ifindex, source); });
    if (port) passage.port = port->name;
  }
  return passage;
}

// Why the host's answers do not go back by the bridge.
ReturnFacts look_back(const exposer::Resolved& resolved, Ipv4 container, Ipv4 service) {
  netlink::Rtnl rtnl;
  ReturnFacts facts;
  const auto gateway = resolved.gateways.empty() ? Ipv4{} : resolved.gateways.front();
  for (const auto& address : rtnl.addresses(resolved.bridge.ifindex))
    if (address.address == gateway) facts.subnet = {address.address, address.prefix};
  const auto link = rtnl.link(resolved.bridge.ifindex);
  const auto is_right = [&](const netlink::RouteAnswer& answer) {
    return answer.error == 0 && answer.ifindex == resolved.bridge.ifindex;
  };
  auto answer = netlink::route_to(container);
  // The service answers from an address of the loopback, which the kernel routes only while route_localnet is
  // on.
  if (is_right(answer) && link && link->route_localnet) answer = netlink::route_to(container, service);
  facts.error = answer.error;
  if (answer.error == 0)
    if (const auto out = rtnl.link(answer.ifindex)) facts.interface = out->name;
  if (is_right(answer)) return facts;
  facts.rejecting = netlink::rejecting_route(container);
  if (!facts.rejecting.empty()) return facts;
  const auto routes = rtnl.routes();
  const bool is_connected = std::ranges::any_of(routes, [&](const netlink::Route& route) {
    return !route.local && route.ifindex == resolved.bridge.ifindex &&
           contains(route.destination, route.prefix, container);
  });
  if (!is_connected) return facts;
  for (const auto& rule : netlink::policy_rules()) {
    const bool from = contains(rule.source, rule.source_length, gateway) ||
                      contains(rule.source, rule.source_length, service);
    if (!from || !contains(rule.destination, rule.destination_length, container)) continue;
    facts.rule = rule.preference;
    break;
  }
  return facts;
}

Dialled dial(Ip address, std::uint16_t port) {
  using Outcome = Dialled::Outcome;
  const auto begun = std::chrono::steady_clock::now();
  const auto result = [&](Outcome outcome, int error = 0) {
    return Dialled{
        outcome,
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begun),
        error == 0 ? "" : std::strerror(error)};
  };
  const auto four = address.ipv4();
  const Fd fd(::socket(four ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return result(Outcome::failed, errno);
  sockaddr_in where4{};
  where4.sin_family = AF_INET;
  where4.sin_port = htons(port);
  where4.sin_addr.s_addr = four.value_or(Ipv4{}).network();
  sockaddr_in6 where6{};
  where6.sin6_family = AF_INET6;
  where6.sin6_port = htons(port);
  std::memcpy(&where6.sin6_addr, address.bytes.data(), sizeof where6.sin6_addr);
  const auto* const where =
      four ? reinterpret_cast<const sockaddr*>(&where4) : reinterpret_cast<const sockaddr*>(&where6);
  int error = ::connect(fd.get(), where, four ? sizeof where4 : sizeof where6) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    pollfd poll{fd.get(), POLLOUT, 0};
    const auto deadline = Deadline::after(kDialSpan);
    int ready = 0;
    while ((ready = ::poll(&poll, 1, deadline.poll_timeout())) < 0 && errno == EINTR) {
    }
    if (ready == 0) return result(Outcome::timed_out);
    socklen_t size = sizeof error;
    if (::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  }
  if (error == 0) return result(Outcome::connected);
  if (error == ECONNREFUSED) return result(Outcome::refused);
  if (error == ETIMEDOUT) return result(Outcome::timed_out);
  return result(Outcome::failed, error);
}

// The interface whose subnet has the address, if it is down: its routes are gone then. Empty without one.
std::string down_towards(netlink::Rtnl& rtnl, Ipv4 address) {
  for (const auto& own : rtnl.addresses()) {
    if (!contains(own.address, own.prefix, address)) continue;
    if (const auto link = rtnl.link(own.ifindex); link && !link->up) return link->name;
  }
  return {};
}

// Uses a new thread that stays in the container's namespace until it ends: see netlink/namespace.cpp. Bounded
// by kDialSpan; holds no lock.
Inside look_inside(pid_t pid, Ip address, std::optional<Ip> second, const HostPort& port) {
  const auto path = fmt::format("/proc/{}/ns/net", pid);
  const Fd netns(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!netns) throw Error::from_errno("look into the container's network namespace", errno);
  return run_in_thread("tchn-setns", [&] {
    if (::setns(netns.get(), CLONE_NEWNET) != 0)
      throw Error::from_errno("enter the container's network namespace", errno);
    Inside inside;
    netlink::Rtnl rtnl;
    if (const auto four = address.ipv4()) {
      const auto routes = rtnl.routes();
      inside.route = std::ranges::any_of(routes, [&](const netlink::Route& route) {
        return !route.local && contains(route.destination, route.prefix, *four);
      });
      if (!inside.route) inside.down = down_towards(rtnl, *four);
    } else {
      inside.route = true;  // routes of IPv6 are not read: the connection tells
    }
    if (port.protocol != Protocol::tcp) return inside;
    std::jthread other;  // in the same namespace, as its creator
    if (second)
      other = start_thread("tchn-dial", [&] { inside.dialled_second = dial(*second, port.container); });
    inside.dialled = dial(address, port.container);
    if (other.joinable()) other.join();
    return inside;
  });
}

// If the hosts file is not readable from outside, reads it through the engine with the container's own `cat`.
void read_hosts_otherwise(AliasFacts& alias, const WalkFacts& facts) {
  if (alias.hosts || !facts.container || !facts.container->running) return;
  const auto inside = see([&] {
    engine::Client client(*facts.engine.address);
    engine::Containers containers(client);
    return engine::read_hosts_inside(containers, *facts.container, Deadline::after(kWalkEngineSpan));
  });
  if (inside) alias.hosts = inside;
}

}  // namespace

WalkFacts gather_walk(const std::string& container, const HostPort& port, const Globals& globals) {
  const auto target = Target::container(container);
  WalkFacts facts;
  facts.port = port;
  Later rules([] { return see([] { return firewall::read_rules(Deadline::after(kWalkRulesSpan)); }); });
  facts.engine.needed = true;
  facts.alias.container = container;
  facts.engine = gather_engine(target, globals.engine, false);
  if (!facts.engine.answers) return facts;
  facts.container = see([&] {
    engine::Client client(*facts.engine.address);
    return exposer::container_named(client, container, Deadline::after(kWalkEngineSpan));
  });
  if (!facts.container || !facts.container->running) return facts;

  const auto bridges = gather_bridges(target, facts.engine, globals.engine);
  facts.bridge = bridges.front();
  const auto state = gather_state(globals.runtime_dir);
  if (state.held)
    add_native(facts.openings, state);
  else
    facts.unseen_openings = state.held.error;
  if (state.deviations) facts.deviations = *state.deviations;
  add_helpers(facts.openings);
  try {
    add_recorded(facts.openings, globals.runtime_dir, facts.bridge.resolved.value.has_value());
  } catch (const Error& error) {
    facts.unseen_openings = error;
  }
  look_at_sidecars(facts);
  facts.alias = gather_alias(target, facts.engine, state, bridges);
  read_hosts_otherwise(facts.alias, facts);
  choose_bridge(facts, globals.engine);
  facts.port_down = down_port(facts.bridge);

  auto service = port;
  const auto* const opening = find_opening(facts);
  if (opening != nullptr && !opening->foreign)
    service = *std::ranges::find_if(opening->ports, [&](const HostPort& open) {
      return open.container == port.container && open.protocol == port.protocol;
    });

  const auto named = alias_addresses(facts);
  if (!named.empty()) facts.address = named.front();
  if (named.size() > 1) facts.second_address = named[1];
  if (facts.address.empty() && opening != nullptr && !opening->network.empty() && !opening->addresses.empty())
    facts.address = opening->addresses.front();
  if (facts.address.empty() && facts.bridge.resolved && !facts.bridge.resolved->gateways.empty())
    facts.address = facts.bridge.resolved->gateways.front().to_string();
  const auto address = Ip::parse(facts.address);
  Later inside([&] {
    return see([&] {
      if (!address)
        throw Error(Errc::not_found, "there is no address to dial", "expose the port, and run doctor again");
      if (!facts.engine.remote.empty())
        throw Error(Errc::no_path,
                    fmt::format("the engine at {}, {}: doctor does not enter processes that it names",
                                facts.engine.address->socket, facts.engine.remote),
                    "run doctor on the engine's machine, with the socket of root's engine");
      // The pid has to be the container's, not another process's with the same number: the relay looks for
      // evidence, and a resolved bridge proves it.
      if (goes_by_host(opening) && (opening->via == exposer::kRelayPath.name || !facts.bridge.resolved))
        static_cast<void>(relay::open_container_net(*facts.container));
      else if (!facts.bridge.resolved)
        throw Error(*facts.bridge.resolved.error);
      return look_inside(facts.container->pid, *address, Ip::parse(facts.second_address), port);
    });
  });

  facts.listener = gather_listener(service, facts.engine, target,
                                   goes_by_host(opening) ? exposer::Origin::host : exposer::Origin::bridge);
  const auto source = own_address(facts, opening);
  facts.back = see([&] {
    if (!facts.bridge.resolved) throw Error(*facts.bridge.resolved.error);
    if (!source) throw Error(Errc::not_found, "the container has no address on that bridge");
    const auto gateway = opening != nullptr && goes_by_gateway(*opening)
                             ? Ipv4::parse(opening->addresses.front())
                             : std::nullopt;
    return look_back(*facts.bridge.resolved, *source, gateway.value_or(service_address(facts)));
  });
  const auto read = rules.get();
  facts.drop = see([&]() -> std::optional<firewall::Drop> {
    if (!read) throw Error(*read.error);
    facts.unread = read->unseen;
    if (!source && opening != nullptr && goes_by_sidecar_alone(*opening))
      throw Error(Errc::no_path, "rules for IPv6 are not followed", "the connection tells");
    if (!source) return std::nullopt;
    const auto passage = passage_of(facts, opening, *source);
    return passage.bridge.empty() ? std::nullopt : firewall::find_drop(*read, passage);
  });
  facts.inside = inside.get();
  return facts;
}

}  // namespace hostnet::cli::doctor
