// The journal's text. The reader is strict: a missing field, a wrong type or a value out of range means that
// the file is not ours. Acting on such a file could set a sysctl or edit a file that no lease ever changed.
#include "core/json_reader.hpp"
#include "core/loopback.hpp"
#include "core/strings.hpp"
#include "firewall/backend.hpp"
#include "hostnet/error.hpp"
#include "lease/journal.hpp"

#include <fmt/format.h>

#include <limits>
#include <optional>
#include <unordered_map>
#include <unordered_set>

namespace hostnet::state {
namespace {

using Json = json::Value;
using json::Reader;

constexpr int kSchema = 1;

Json to_json(const std::vector<Ipv4>& addresses) {
  auto out = json::array();
  for (const auto address : addresses) out.push_back(address.to_string());
  return out;
}

Json json_of(const engine::AliasRecord& alias) {
  Json out{{"container", alias.container},
           {"pid", alias.pid},
           {"pid_start", alias.pid_start},
           {"hosts_path", alias.hosts_path}};
  if (!alias.name.empty()) out["name"] = alias.name;
  if (alias.file.is_known()) out["file"] = {{"device", alias.file.device}, {"inode", alias.file.inode}};
  return out;
}

Json json_of(const NameLeft& name) {
  return {{"lease", name.lease}, {"alias", json_of(name.record)}, {"tries", name.tries}};
}

Json json_of(const Lease& lease) {
  auto ports = json::array();
  for (const auto& port : lease.ports) ports.push_back(port.to_string());
  auto aliases = json::array();
  for (const auto& alias : lease.aliases) aliases.push_back(json_of(alias));
  Json out{{"id", lease.id},
           {"target", lease.target},
           {"label", lease.label},
           {"owner",
            {{"token", lease.owner.token},
             {"pid", lease.owner.pid},
             {"start", lease.owner.start},
             {"uid", lease.owner.uid},
             {"command", lease.owner.command},
             {"lifetime", to_string(lease.owner.lifetime)}}},
           {"ifindex", lease.ifindex},
           {"gateways", to_json(lease.gateways)},
           {"sources", to_json(lease.sources)},
           {"ports", std::move(ports)},
           {"aliases", std::move(aliases)},
           {"created", lease.created},
           {"releasing", lease.releasing}};
  if (lease.mac) out["mac"] = lease.mac->to_string();
  if (!lease.port.empty()) out["port"] = lease.port;
  if (!lease.unpinned.empty()) out["unpinned"] = lease.unpinned;
  if (lease.expose_own) out["expose_own"] = true;
  if (lease.expires) out["expires"] = *lease.expires;
  if (lease.served) out["served"] = {{"pid", lease.served->pid}, {"start", lease.served->start}};
  return out;
}

[[noreturn]] void corrupt(const std::string& what) {
  throw Error(Errc::state_corrupt, fmt::format("not a journal of leases: {}", what),
              "repair it with: tc-hostnet release --all");
}

std::vector<Ipv4> addresses(const Reader& list) {
  std::vector<Ipv4> out;
  list.each_element([&](const Reader& entry) {
    const auto text = entry.string();
    const auto address = Ipv4::parse(text);
    if (!address) entry.reject(quote(text), "an address");
    out.push_back(*address);
  });
  return out;
}

Lifetime lifetime(const Reader& name) {
  const auto lifetime = parse_lifetime(name.string());
  if (!lifetime) corrupt("unknown lifetime");
  return *lifetime;
}

engine::AliasRecord alias_from(const Reader& json) {
  engine::AliasRecord alias{.container = json.at("container").string(),
                            .pid = json.at("pid").number<pid_t>(),
                            .pid_start = json.at("pid_start").number<std::uint64_t>(),
                            .hosts_path = json.at("hosts_path").string()};
  if (json.contains("name")) alias.name = json.at("name").string();
  if (json.contains("file")) {
    const auto file = json.at("file");
    alias.file = {.device = file.at("device").number<std::uint64_t>(),
                  .inode = file.at("inode").number<std::uint64_t>()};
  }
  return alias;
}

// Journals of older versions have none.
std::vector<NameLeft> names_from(const Reader& json) {
  std::vector<NameLeft> names;
  if (!json.contains("names")) return names;
  json.at("names").each_element([&](const Reader& name) {
    names.push_back({.lease = name.at("lease").string(),
                     .record = alias_from(name.at("alias")),
                     .tries = name.at("tries").number<int>()});
    if (!is_token(names.back().lease)) corrupt("an id is not hexadecimal");
  });
  return names;
}

Lease lease_from(const Reader& json) {
  Lease lease;
  lease.id = json.at("id").string();
  lease.target = json.at("target").string();
  lease.label = json.at("label").string();
  const auto owner = json.at("owner");
  lease.owner = {.token = owner.at("token").string(),
                 .pid = owner.at("pid").number<pid_t>(),
                 .start = owner.at("start").number<std::uint64_t>(),
                 .uid = owner.at("uid").number<uid_t>(),
                 .command = owner.at("command").string(),
                 .lifetime = lifetime(owner.at("lifetime"))};
  // Both become part of a path or of a rule, so they are hexadecimal only.
  if (!is_token(lease.id) || !is_token(lease.owner.token)) corrupt("an id is not hexadecimal");
  lease.ifindex = json.at("ifindex").number<int>();
  lease.gateways = addresses(json.at("gateways"));
  lease.sources = addresses(json.at("sources"));
  if (json.contains("mac")) {
    lease.mac = Mac::parse(json.at("mac").string());
    if (!lease.mac) corrupt("mac is not an Ethernet address");
  }
  if (json.contains("port")) lease.port = json.at("port").string();
  if (json.contains("unpinned")) lease.unpinned = json.at("unpinned").string();
  if (json.contains("expose_own")) lease.expose_own = json.at("expose_own").boolean();
  json.at("ports").each_element([&](const Reader& port) {
    lease.ports.push_back(HostPort::parse(port.string()));
    if (!ipv4_of(lease.ports.back()) || !lease.ports.back().socket.empty())
      corrupt("a port that leads to no IPv4 address");
  });
  if (lease.gateways.empty() || lease.ports.empty()) corrupt("a lease without a gateway or a port");
  json.at("aliases").each_element([&](const Reader& alias) { lease.aliases.push_back(alias_from(alias)); });
  lease.created = json.at("created").number<std::int64_t>();
  if (json.contains("expires")) lease.expires = json.at("expires").number<std::int64_t>();
  if (json.contains("served")) {
    const auto served = json.at("served");
    lease.served = {.pid = served.at("pid").number<pid_t>(),
                    .start = served.at("start").number<std::uint64_t>()};
  }
  lease.releasing = json.at("releasing").boolean();
  return lease;
}

Json json_of(const Bridge& bridge) {
  return {{"ifindex", bridge.ifindex},
          {"name", bridge.name},
          {"prior_route_localnet", bridge.prior_route_localnet}};
}

template <class List>
Json list_of(const List& list) {
  auto out = json::array();
  for (const auto& one : list) out.push_back(json_of(one));
  return out;
}

Bridge bridge_from(const Reader& json) {
  return {.ifindex = json.at("ifindex").number<int>(),
          .name = json.at("name").string(),
          .prior_route_localnet = json.at("prior_route_localnet").boolean()};
}

std::vector<Bridge> bridges_from(const Reader& list) {
  std::vector<Bridge> bridges;
  list.each_element([&](const Reader& bridge) { bridges.push_back(bridge_from(bridge)); });
  return bridges;
}

std::vector<Lease> leases_from(const Reader& list) {
  std::vector<Lease> leases;
  list.each_element([&](const Reader& lease) {
    try {
      leases.push_back(lease_from(lease));
    } catch (const Error& error) {
      if (error.code() == Errc::state_corrupt) throw;
      corrupt(error.what());
    }
  });
  return leases;
}

void check_bridges(const Snapshot& snapshot) {
  for (const auto& lease : snapshot.leases)
    if (snapshot.bridge(lease.ifindex) == nullptr) corrupt("a lease on no bridge");
}

// The file is our own; the number of values has no limit.
json::Document parsed(std::string_view line) {
  return json::read(line, {.values = std::numeric_limits<std::size_t>::max()}, corrupt);
}

std::string line_of(const Json& json) { return json.dump() + '\n'; }

// The combined effect of several change lines.
class Sum {
 public:
  void add(const Reader& change) {
    if (change.contains("bridges")) bridges_ = bridges_from(change.at("bridges"));
    if (change.contains("names")) names_ = names_from(change);
    change.at("gone").each_element(
        [&](const Reader& id) { leases_.erase(*gone_.insert(id.string()).first); });
    for (auto& lease : leases_from(change.at("leases"))) {
      order_.push_back(lease.id);
      leases_.insert_or_assign(lease.id, std::move(lease));
    }
  }

  void apply_to(Snapshot& snapshot) {
    if (bridges_) snapshot.bridges = std::move(*bridges_);
    if (names_) snapshot.names = std::move(*names_);
    snapshot.leases.erase_if([&](const Lease& lease) { return gone_.contains(lease.id); });
    const auto take = [&](const std::string& id, const auto& put) {
      const auto found = leases_.find(id);
      if (found == leases_.end()) return;
      put(std::move(found->second));
      leases_.erase(found);
    };
    snapshot.leases.change_if(
        [&](const Lease& lease) { return leases_.contains(lease.id); },
        [&](Lease& lease) { take(lease.id, [&](Lease&& changed) { lease = std::move(changed); }); });
    for (const auto& id : order_)
      take(id, [&](Lease&& fresh) { snapshot.leases.push_back(std::move(fresh)); });
    check_bridges(snapshot);
  }

 private:
  std::optional<std::vector<Bridge>> bridges_;
  std::optional<std::vector<NameLeft>> names_;
  std::unordered_set<std::string> gone_;
  std::unordered_map<std::string, Lease> leases_;
  std::vector<std::string> order_;  // in order of arrival
};

}  // namespace

std::string to_json(const Snapshot& snapshot, std::string_view boot_id) {
  Json all{{"schema", kSchema},
           {"boot_id", boot_id},
           {"firewall", to_string(snapshot.firewall)},
           {"bridges", list_of(snapshot.bridges)},
           {"leases", list_of(snapshot.leases)}};
  if (!snapshot.names.empty()) all["names"] = list_of(snapshot.names);
  return line_of(all);
}

Snapshot from_json(std::string_view text, std::string_view boot_id) {
  const auto end = text.find('\n');
  if (end == std::string_view::npos) corrupt("its first line has no end");
  const auto tree = parsed(text.substr(0, end));
  const Reader json(tree);
  if (const auto schema = json.at("schema").number<int>(); schema != kSchema)
    corrupt(fmt::format("unknown schema {}", schema));
  // The runtime directory may outlive a boot; rules and sysctls do not.
  if (json.at("boot_id").string() != boot_id) return {};
  Snapshot snapshot;
  if (const auto kind = firewall::parse_firewall(json.at("firewall").string());
      kind && kind != Firewall::automatic)
    snapshot.firewall = *kind;
  else
    corrupt("unknown firewall");
  snapshot.bridges = bridges_from(json.at("bridges"));
  snapshot.leases = leases_from(json.at("leases"));
  snapshot.names = names_from(json);
  apply_changes(snapshot, text.substr(end + 1, text.rfind('\n') - end));
  return snapshot;
}

std::string to_json_change(const Snapshot& from, const Snapshot& to) {
  auto gone = json::array();
  auto leases = json::array();
  LeaseList::compare(
      from.leases, to.leases,
      [&](const Lease& was, const Lease& is) {
        if (!(was == is)) leases.push_back(json_of(is));
      },
      [&](const Lease& lease) { gone.push_back(lease.id); },
      [&](const Lease& lease) { leases.push_back(json_of(lease)); });
  const bool same_bridges = from.bridges == to.bridges;
  const bool same_names = from.names == to.names;
  if (gone.empty() && leases.empty() && same_bridges && same_names) return {};
  Json change{{"gone", std::move(gone)}, {"leases", std::move(leases)}};
  if (!same_bridges) change["bridges"] = list_of(to.bridges);
  if (!same_names) change["names"] = list_of(to.names);
  return line_of(change);
}

void apply_changes(Snapshot& snapshot, std::string_view lines) {
  Sum sum;
  for (auto end = lines.find('\n'); end != std::string_view::npos; end = lines.find('\n')) {
    const auto change = parsed(lines.substr(0, end));
    sum.add(Reader(change));
    lines.remove_prefix(end + 1);
  }
  sum.apply_to(snapshot);
}

}  // namespace hostnet::state
