// Reads the sidecars' labels and the containers' hosts files, and compares them with a request.
#include "target/alias_holders.hpp"

#include "core/log.hpp"
#include "core/strings.hpp"
#include "engine/alias.hpp"
#include "engine/containers.hpp"
#include "engine/hosts_file.hpp"
#include "engine/json_reader.hpp"
#include "engine/networks.hpp"
#include "hostnet/error.hpp"
#include "lease/command_line.hpp"
#include "lease/container_alias.hpp"
#include "lease/lease.hpp"
#include "lease/same_ports.hpp"
#include "target/seen_lease.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <optional>
#include <set>
#include <tuple>

namespace hostnet::exposer {
namespace {

using Holders = std::vector<AliasHolder>;

// Limit for the hosts files of all containers of a network: a container can delay a command in it.
constexpr std::chrono::seconds kAllFiles{5};

// Also before its first moment: the lease that it is for is being made.
bool runs_soon(std::string_view state) {
  return state == "running" || state == "created" || state == "configured" || state == "initialized";
}

// When the engine created the container; nullopt if it is gone. 0 for a time that makes no sense.
std::optional<std::int64_t> created_at(engine::Client& client, const std::string& id, Deadline deadline) {
  try {
    const auto tree = engine::parse_json(client.container_json(id, deadline), deadline);
    return nanoseconds_of(engine::JsonReader(tree).string_or_empty("Created")).value_or(0);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    return std::nullopt;
  }
}

// An engine that does not list its containers, as Podman does with one that is being removed, must not keep a
// lease from being made.
Holders holders_at(engine::Client& client, const std::string& own, const std::vector<std::string>& beside,
                   Deadline deadline) {
  Holders out;
  try {
    const auto sidecars = engine::Containers(client).list({kLeaseLabel}, deadline);
    const auto ours = std::ranges::find_if(
        sidecars, [&](const auto& one) { return !own.empty() && alias_holder(one.labels).lease == own; });
    std::optional<std::int64_t> our_time;  // asked for only if there is another sidecar
    for (const auto& one : sidecars) {
      auto holder = alias_holder(one.labels);
      if (!runs_soon(one.state) || holder.lease.empty() || holder.lease == own) continue;
      if (std::ranges::find(beside, holder.lease) != beside.end()) continue;
      if (ours != sidecars.end()) {
        if (!our_time) our_time = created_at(client, ours->id, deadline).value_or(0);
        const auto its_time = created_at(client, one.id, deadline);
        if (!its_time) continue;  // it has gone
        if (std::tie(*its_time, holder.lease) > std::tie(*our_time, own)) continue;
      }
      out.push_back(std::move(holder));
    }
  } catch (const Error& error) {
    if (error.code() != Errc::engine_error && error.code() != Errc::not_found) throw;
    log::debug("leases of other owners are not known: {}", error.what());
  }
  return out;
}

// A lease that stands, as far as it is known here, and where it has the name.
struct OtherLease {
  std::string lease;
  std::string where;
  std::vector<HostPort> ports = {};  // by its label; empty: as its record says
  std::optional<Target> both = {};   // covers this lease and the request; none does without one
};

// How this user gets a lease released. A lease that is not seen here is another user's.
std::string release_of(const std::string& lease, bool is_seen) {
  const bool is_root = ::geteuid() == 0;
  return fmt::format("{}tc-hostnet release {}", is_seen || is_root ? "" : "sudo ", lease);
}

[[noreturn]] void refuse(const OtherLease& other, const ExposeRequest& request,
                         const std::string& runtime_dir) {
  const auto seen = seen_lease(other.lease, runtime_dir);
  const auto ports = other.ports.empty() && seen ? seen->ports : other.ports;
  const auto release = release_of(other.lease, seen.has_value());
  std::string hint;
  if (!other.both)
    hint = "release that lease first: " + release;
  else if (ports.empty())
    hint = fmt::format("release that lease first ({}), then name its ports in this request, too", release);
  else
    hint = fmt::format("have one lease for both: {} && {}", release,
                       one_line_for(ports, request.ports, *other.both));
  if (!seen) hint = "that lease is another user's; " + hint;
  throw Error(
      Errc::conflict,
      fmt::format("host port exposure {} already defined {} by lease {}, which would lose its ports there",
                  kAlias, other.where, other.lease),
      hint);
}

// A line of another lease in the hosts file of a container of the request.
[[noreturn]] void refuse_by_file(const std::string& lease, const std::string& container,
                                 const ExposeRequest& request, const std::string& runtime_dir) {
  const auto seen = seen_lease(lease, runtime_dir);
  std::optional<Target> both = request.target;
  constexpr std::string_view kNetwork = "network ";
  if (seen && seen->target.starts_with(kNetwork) && seen->target != request.target.to_string()) {
    both.reset();  // no target has two networks
    if (request.target.kind() == Target::Kind::container)
      both = Target::network(seen->target.substr(kNetwork.size()));
  }
  refuse({.lease = lease, .where = "in container " + container, .both = both}, request, runtime_dir);
}

// The name of a network of the container that this holder serves by DNS.
std::optional<std::string> shared_network(engine::Client& client, const engine::Container& container,
                                          const AliasHolder& holder, Deadline deadline) {
  if (holder.network.empty()) return std::nullopt;
  for (const auto& endpoint : container.endpoints) {
    if (endpoint.network_id == holder.network) return endpoint.network;
    // Podman before 5 repeats the name.
    if (endpoint.network_id == endpoint.network &&
        client.network(endpoint.network, deadline).id == holder.network)
      return endpoint.network;
  }
  return std::nullopt;
}

void check_container(engine::Client& client, const engine::Container& container, const Holders& holders,
                     const ExposeRequest& request, const std::string& runtime_dir, Deadline deadline) {
  for (const auto& holder : holders) {
    if (holder.container == container.id)
      refuse(
          {holder.lease, "for container " + container.name, holder.ports, Target::container(container.name)},
          request, runtime_dir);
    if (const auto network = shared_network(client, container, holder, deadline))
      refuse({holder.lease, "on network " + *network, holder.ports, Target::network(*network)}, request,
             runtime_dir);
  }
}

// The definition in its hosts file that is not from lease `own` or one beside it; nullopt also if the file cannot be
// read.
std::optional<engine::Definition> defined_by_others(engine::Client& client,
                                                    const engine::Container& container,
                                                    const std::string& own,
                                                    const std::vector<std::string>& beside,
                                                    Deadline deadline) {
  try {
    return engine::definition_by_others(read_container_hosts(client, container, deadline), kAlias, own,
                                        beside);
  } catch (const Error& error) {  // it has no cat, or has stopped
    log::debug("the hosts file of container {} is not read: {}", container.name, error.what());
    return std::nullopt;
  }
}

std::optional<std::string> own_entry(const engine::Container& container) {
  for (const auto& entry : container.extra_hosts)
    if (entry.starts_with(std::string(kAlias) + ":")) return entry;
  return std::nullopt;
}

// The container's own entry comes before the engine's DNS.
void check_hosts(engine::Client& client, const engine::Container& container, const ExposeRequest& request,
                 const AliasCheck& check, const std::vector<std::string>& beside, Deadline deadline) {
  const bool told = !check.own.empty();  // by the first check
  if (told ? own_entry(container).has_value() : warn_of_own_entry(container)) return;
  const auto other = defined_by_others(client, container, check.own, beside, deadline);
  if (!other) return;
  if (other->lease.empty() && told) return;
  if (other->lease.empty())
    log::warn("container {} does not reach these ports: its hosts file gives {} the address {}",
              container.name, kAlias, quote(other->address));
  else
    refuse_by_file(other->lease, container.name, request, check.runtime_dir);
}

// Other engines' labels are not seen here, but the names of all containers on an overlay network are. Of two
// leases that are made at once both may be refused: which one looked before the other's sidecar was there is
// not known here.
void check_other_nodes(engine::Client& client, const engine::Network& network, const std::string& own,
                       const std::vector<std::string>& beside, Deadline deadline) {
  engine::Networks networks(client);
  const auto ends = networks.overlay_ends(network.id, deadline);
  std::optional<std::string> here;
  for (const auto& end : ends) {
    if (!end.container.starts_with(kSidecarPrefix)) continue;
    const auto lease = end.container.substr(kSidecarPrefix.size());
    if (!state::is_token(lease) || lease == own || std::ranges::find(beside, lease) != beside.end()) continue;
    if (!here) here = networks.swarm_node(deadline).address;
    if (end.node == *here) continue;  // told by its labels
    throw Error(
        Errc::conflict,
        fmt::format("host port exposure {} already defined on network {} by lease {} on the swarm's node {}",
                    kAlias, network.name, lease, end.node),
        fmt::format("release it there (tc-hostnet release {}), or have one lease with the ports of both",
                    lease));
  }
}

void check_network(engine::Client& client, const ExposeRequest& request, const Holders& holders,
                   const AliasCheck& check, const std::vector<std::string>& beside, Deadline deadline) {
  const auto network = client.network(request.target.name(), deadline);
  for (const auto& holder : holders)
    if (holder.network == network.id)
      refuse({holder.lease, "on network " + network.name, holder.ports, request.target}, request,
             check.runtime_dir);
  if (network.driver == "overlay") check_other_nodes(client, network, check.own, beside, deadline);
  const auto files = Deadline::after(std::min<std::chrono::milliseconds>(kAllFiles, deadline.remaining()));
  for (const auto& id : network.containers) {
    try {
      const auto container = client.container(id, deadline);
      if (!container.running || container.labels.contains(kLeaseLabel) ||
          container.labels.contains(kOwnerLabel))
        continue;
      for (const auto& holder : holders) {
        if (check.by == NameBy::dns && holder.container == container.id)
          refuse({holder.lease, "for container " + container.name, holder.ports, request.target}, request,
                 check.runtime_dir);
        if (const auto other = shared_network(client, container, holder, deadline))
          refuse({holder.lease, fmt::format("on network {} of container {}", *other, container.name)},
                 request, check.runtime_dir);
      }
      if (check.by == NameBy::dns) check_hosts(client, container, request, check, beside, files);
    } catch (const Error& error) {
      // The container may have stopped since the network was listed.
      if (error.code() != Errc::not_found) throw;
    }
  }
}

}  // namespace

bool warn_of_own_entry(const engine::Container& container) {
  const auto entry = own_entry(container);
  if (!entry) return false;
  log::warn(
      "container {} does not reach these ports: it was created with --add-host {}, so there {} leads "
      "elsewhere; "
      "create it without that entry, or use the native path",
      container.name, *entry, kAlias);
  return true;
}

AliasHolder alias_holder(const std::map<std::string, std::string>& labels) {
  const auto value = [&](const char* label) {
    const auto found = labels.find(label);
    return found == labels.end() ? std::string() : found->second;
  };
  AliasHolder holder{
      .lease = value(kLeaseLabel), .network = value(kAliasLabel), .container = value(kAliasContainerLabel)};
  if (!state::is_token(holder.lease)) return {};
  const auto ports = value(kLeasePortsLabel);
  for (const auto word : split(ports, ',')) {
    try {
      if (!word.empty()) holder.ports.push_back(HostPort::parse(word));
    } catch (const Error&) {
      holder.ports.clear();
      break;
    }
  }
  return holder;
}

std::optional<std::int64_t> nanoseconds_of(std::string_view time) {
  std::tm when{};
  const std::string text(time);
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &when);
  if (rest == nullptr) return std::nullopt;
  std::int64_t fraction = 0;
  if (*rest == '.') {
    int digits = 0;
    for (++rest; *rest >= '0' && *rest <= '9'; ++rest)
      if (digits++ < 9) fraction = fraction * 10 + (*rest - '0');
    for (; digits < 9; ++digits) fraction *= 10;
  }
  when.tm_gmtoff = 0;
  std::tm zone{};
  if (std::string_view(rest) != "Z") {
    if (*rest != '+' && *rest != '-') return std::nullopt;
    const char* const end = ::strptime(rest + 1, "%H:%M", &zone);
    if (end == nullptr || *end != '\0') return std::nullopt;
  }
  const std::int64_t offset = (zone.tm_hour * 60 + zone.tm_min) * 60 * (*rest == '-' ? -1 : 1);
  return (::timegm(&when) - offset) * 1'000'000'000 + fraction;
}

std::string one_line_for(const std::vector<HostPort>& first, const std::vector<HostPort>& second,
                         const Target& target) {
  std::set<HostPort> all(first.begin(), first.end());
  all.insert(second.begin(), second.end());
  return expose_command({all.begin(), all.end()}, target);
}

void check_alias_is_unheld(engine::Client& client, const ExposeRequest& request, const AliasCheck& check,
                           Deadline deadline) {
  const auto kind = request.target.kind();
  if (!request.write_alias || (kind != Target::Kind::container && kind != Target::Kind::network)) return;
  const auto beside = names_beside(request.ports);
  const auto holders = holders_at(client, check.own, beside, deadline);
  if (kind == Target::Kind::network) return check_network(client, request, holders, check, beside, deadline);
  const bool reads_file = check.by == NameBy::sidecar_in_file && check.own.empty();
  if (holders.empty() && !reads_file) return;
  const auto container = client.container(request.target.name(), deadline);
  check_container(client, container, holders, request, check.runtime_dir, deadline);
  if (!reads_file) return;
  const auto other = defined_by_others(client, container, {}, beside, deadline);
  if (!other) return;
  if (other->lease.empty()) throw engine::already_defined(kAlias, container.name, *other);
  refuse_by_file(other->lease, container.name, request, check.runtime_dir);
}

void check_alias_is_unheld(const std::string& engine, const ExposeRequest& request, const AliasCheck& check,
                           Deadline deadline) {
  const auto kind = request.target.kind();
  if (!request.write_alias || (kind != Target::Kind::container && kind != Target::Kind::network)) return;
  engine::Client client(engine::Address::find(engine));
  check_alias_is_unheld(client, request, check, deadline);
}

void check_hosts_file(const std::string& hosts, const std::string& container, const ExposeRequest& request,
                      const std::vector<Ip>& leads_to, const std::string& runtime_dir) {
  const auto other = engine::definition_by_others(hosts, kAlias, {}, names_beside(request.ports));
  if (!other) return;
  const auto address = Ip::parse(other->address);
  if (address && std::ranges::find(leads_to, *address) != leads_to.end()) return;
  if (other->lease.empty()) throw engine::already_defined(kAlias, container, *other);
  refuse_by_file(other->lease, container, request, runtime_dir);
}

}  // namespace hostnet::exposer
