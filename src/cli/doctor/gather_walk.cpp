// Follows a container's packet: reads the engine and the leases and, as root, dials from inside the
// container.
#include "cli/doctor/gather.hpp"
#include "cli/doctor/walk.hpp"
#include "cli/helper_view.hpp"
#include "cli/record_view.hpp"
#include "core/fd.hpp"
#include "core/thread.hpp"
#include "engine/containers.hpp"
#include "engine/exec_alias.hpp"
#include "netlink/link.hpp"
#include "path/helper/helper.hpp"
#include "path/native/native.hpp"
#include "path/paths.hpp"

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

namespace hostnet::cli::doctor {
namespace {

constexpr std::chrono::seconds kWalkEngineSpan{2};
// The kernel resends a lost SYN after 1 s and after 3 s: this allows one resend.
constexpr std::chrono::milliseconds kDialSpan{2500};

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

void add_recorded(std::vector<Opening>& openings, const std::string& runtime_dir) {
  const state::TunnelStore store(runtime_dir);
  for (const auto& [driver, record] : exposer::recorded_leases(exposer::paths(), store)) {
    Opening opening;
    opening.lease = record.id;
    opening.via = driver->name;
    opening.target = record.target;
    opening.network = record.network;
    if (!record.address.empty()) opening.addresses = {record.address};
    opening.sources = record.sources;
    opening.ports = record.ports;
    opening.dead = !store.is_alive(record);
    openings.push_back(std::move(opening));
  }
}

Dialled dial(Ipv4 address, std::uint16_t port) {
  using Outcome = Dialled::Outcome;
  const auto begun = std::chrono::steady_clock::now();
  const auto result = [&](Outcome outcome, int error = 0) {
    return Dialled{
        outcome,
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begun),
        error == 0 ? "" : std::strerror(error)};
  };
  const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return result(Outcome::failed, errno);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(port);
  where.sin_addr.s_addr = address.network();
  int error = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0 ? 0 : errno;
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

// Uses a new thread that stays in the container's namespace until it ends: see netlink/namespace.cpp. Bounded
// by kDialSpan; holds no lock.
Inside look_inside(pid_t pid, Ipv4 address, const HostPort& port) {
  const auto path = fmt::format("/proc/{}/ns/net", pid);
  const Fd netns(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!netns) throw Error::from_errno("look into the container's network namespace", errno);
  return run_in_thread("tchn-setns", [&] {
    if (::setns(netns.get(), CLONE_NEWNET) != 0)
      throw Error::from_errno("enter the container's network namespace", errno);
    Inside inside;
    const auto routes = netlink::Rtnl().routes();
    inside.route = std::ranges::any_of(routes, [&](const netlink::Route& route) {
      return !route.local && contains(route.destination, route.prefix, address);
    });
    if (port.protocol == Protocol::tcp) inside.dialled = dial(address, port.container);
    return inside;
  });
}

// If the hosts file is not readable from outside, reads it through the engine with the container's own `cat`.
void read_hosts_otherwise(AliasFacts& alias, const WalkFacts& facts) {
  if (alias.hosts || !facts.container || !facts.container->running) return;
  const auto inside = see([&] {
    engine::Client client(*facts.engine.address);
    engine::Containers containers(client);
    return engine::read_hosts_inside(containers, facts.container->id, Deadline::after(kWalkEngineSpan));
  });
  if (inside) alias.hosts = inside;
}

}  // namespace

WalkFacts gather_walk(const std::string& container, const HostPort& port, const Globals& globals) {
  const auto target = Target::container(container);
  WalkFacts facts;
  facts.port = port;
  facts.engine = gather_engine(target, globals.engine);
  facts.alias.container = container;
  if (!facts.engine.answers) return facts;
  facts.container = see([&] {
    return engine::Client(*facts.engine.address).container(container, Deadline::after(kWalkEngineSpan));
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
    add_recorded(facts.openings, globals.runtime_dir);
  } catch (const Error& error) {
    facts.unseen_openings = error;
  }
  facts.alias = gather_alias(target, facts.engine, state, bridges);
  read_hosts_otherwise(facts.alias, facts);
  facts.input = gather_input(bridges);

  auto service = port;
  if (const auto* const opening = find_opening(facts)) {
    const auto found = std::ranges::find_if(opening->ports, [&](const HostPort& open) {
      return open.container == port.container && open.protocol == port.protocol;
    });
    service = *found;
  }
  facts.listener = {service, see([&] { return netlink::listeners(service.host, service.protocol); })};

  facts.address = alias_address(facts);
  if (facts.address.empty() && facts.bridge.resolved && !facts.bridge.resolved->gateways.empty())
    facts.address = facts.bridge.resolved->gateways.front().to_string();
  const auto address = Ipv4::parse(facts.address);
  facts.inside = see([&] {
    if (!address)
      throw Error(Errc::not_found, "there is no address to dial", "expose the port, and run doctor again");
    if (!facts.engine.remote.empty())
      throw Error(Errc::no_path,
                  fmt::format("the engine at {}, {}: doctor does not enter processes that it names",
                              facts.engine.address->socket, facts.engine.remote),
                  "run doctor on the engine's machine, with the socket of root's engine");
    // A resolved bridge proves that the pid is the container's process, not another one with the same number.
    if (!facts.bridge.resolved) throw *facts.bridge.resolved.error;
    return look_inside(facts.container->pid, *address, port);
  });
  return facts;
}

}  // namespace hostnet::cli::doctor
