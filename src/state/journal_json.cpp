// The journal's text. Strict on the way in: a field that is missing, of another type or out of range means
// that the file is not ours, and acting on it could set a sysctl or edit a file that never was.
#include "core/strings.hpp"
#include "firewall/backend.hpp"
#include "hostnet/error.hpp"
#include "state/journal.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <optional>
#include <unordered_map>
#include <unordered_set>

namespace hostnet::state {
namespace {

using Json = nlohmann::json;
constexpr int kSchema = 1;

Json to_json(const std::vector<Ipv4>& addresses) {
  auto out = Json::array();
  for (const auto address : addresses) out.push_back(address.to_string());
  return out;
}

Json json_of(const Lease& lease) {
  auto ports = Json::array();
  for (const auto& port : lease.ports) ports.push_back(port.to_string());
  auto aliases = Json::array();
  for (const auto& alias : lease.aliases)
    aliases.push_back({{"container", alias.container},
                       {"pid", alias.pid},
                       {"pid_start", alias.pid_start},
                       {"hosts_path", alias.hosts_path}});
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
  if (lease.expires) out["expires"] = *lease.expires;
  if (lease.served) out["served"] = {{"pid", lease.served->pid}, {"start", lease.served->start}};
  return out;
}

[[noreturn]] void corrupt(std::string_view what) {
  throw Error(Errc::state_corrupt, fmt::format("not a journal of leases: {}", what),
              "set it right with: tc-hostnet release --all");
}

const Json& field(const Json& object, const char* name) {
  if (!object.is_object()) corrupt(fmt::format("no object around {}", name));
  const auto found = object.find(name);
  if (found == object.end()) corrupt(fmt::format("{} is missing", name));
  return *found;
}

std::string text(const Json& object, const char* name) {
  const auto& value = field(object, name);
  if (!value.is_string()) corrupt(fmt::format("{} is not a text", name));
  return value.get<std::string>();
}

bool flag(const Json& object, const char* name) {
  const auto& value = field(object, name);
  if (!value.is_boolean()) corrupt(fmt::format("{} is neither true nor false", name));
  return value.get<bool>();
}

template <class Number>
Number number(const Json& object, const char* name) {
  const auto& value = field(object, name);
  if (!value.is_number_integer() ||
      (value.is_number_unsigned() ? !std::in_range<Number>(value.get<std::uint64_t>())
                                  : !std::in_range<Number>(value.get<std::int64_t>())))
    corrupt(fmt::format("{} is not a number in range", name));
  return value.get<Number>();
}

const Json& list(const Json& object, const char* name) {
  const auto& value = field(object, name);
  if (!value.is_array()) corrupt(fmt::format("{} is not a list", name));
  return value;
}

std::vector<Ipv4> addresses(const Json& object, const char* name) {
  std::vector<Ipv4> out;
  for (const auto& entry : list(object, name)) {
    const auto address = entry.is_string() ? Ipv4::parse(entry.get<std::string>()) : std::nullopt;
    if (!address) corrupt(fmt::format("{} holds what is no address", name));
    out.push_back(*address);
  }
  return out;
}

bool is_token(std::string_view token) {
  return !token.empty() && token.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Lifetime lifetime(const Json& owner) {
  const auto lifetime = parse_lifetime(text(owner, "lifetime"));
  if (!lifetime) corrupt("a lifetime that is not known");
  return *lifetime;
}

Lease lease_from(const Json& json) {
  Lease lease;
  lease.id = text(json, "id");
  lease.target = text(json, "target");
  lease.label = text(json, "label");
  const auto& owner = field(json, "owner");
  lease.owner = {.token = text(owner, "token"),
                 .pid = number<pid_t>(owner, "pid"),
                 .start = number<std::uint64_t>(owner, "start"),
                 .uid = number<uid_t>(owner, "uid"),
                 .command = text(owner, "command"),
                 .lifetime = lifetime(owner)};
  // Both become part of a path or of a rule.
  if (!is_token(lease.id) || !is_token(lease.owner.token)) corrupt("an id is not hexadecimal");
  lease.ifindex = number<int>(json, "ifindex");
  lease.gateways = addresses(json, "gateways");
  lease.sources = addresses(json, "sources");
  if (json.contains("mac")) {
    lease.mac = Mac::parse(text(json, "mac"));
    if (!lease.mac) corrupt("mac is not an Ethernet address");
  }
  if (json.contains("port")) lease.port = text(json, "port");
  for (const auto& port : list(json, "ports")) {
    if (!port.is_string()) corrupt("ports holds what is no text");
    lease.ports.push_back(HostPort::parse(port.get<std::string>()));
  }
  if (lease.gateways.empty() || lease.ports.empty()) corrupt("a lease without a gateway or a port");
  for (const auto& alias : list(json, "aliases"))
    lease.aliases.push_back({.container = text(alias, "container"),
                             .pid = number<pid_t>(alias, "pid"),
                             .pid_start = number<std::uint64_t>(alias, "pid_start"),
                             .hosts_path = text(alias, "hosts_path")});
  lease.created = number<std::int64_t>(json, "created");
  if (json.contains("expires")) lease.expires = number<std::int64_t>(json, "expires");
  if (json.contains("served")) {
    const auto& served = field(json, "served");
    lease.served = {.pid = number<pid_t>(served, "pid"), .start = number<std::uint64_t>(served, "start")};
  }
  lease.releasing = flag(json, "releasing");
  return lease;
}

Json json_of(const Bridge& bridge) {
  return {{"ifindex", bridge.ifindex},
          {"name", bridge.name},
          {"prior_route_localnet", bridge.prior_route_localnet}};
}

template <class List>
Json list_of(const List& list) {
  auto out = Json::array();
  for (const auto& one : list) out.push_back(json_of(one));
  return out;
}

Bridge bridge_from(const Json& json) {
  return {.ifindex = number<int>(json, "ifindex"),
          .name = text(json, "name"),
          .prior_route_localnet = flag(json, "prior_route_localnet")};
}

std::vector<Bridge> bridges_from(const Json& json) {
  std::vector<Bridge> bridges;
  for (const auto& bridge : list(json, "bridges")) bridges.push_back(bridge_from(bridge));
  return bridges;
}

std::vector<Lease> leases_from(const Json& json) {
  std::vector<Lease> leases;
  for (const auto& lease : list(json, "leases")) {
    try {
      leases.push_back(lease_from(lease));
    } catch (const Error& error) {
      if (error.code() == Errc::state_corrupt) throw;
      corrupt(error.what());
    }
  }
  return leases;
}

void check_bridges(const Holdings& holdings) {
  for (const auto& lease : holdings.leases)
    if (holdings.bridge(lease.ifindex) == nullptr) corrupt("a lease on no bridge");
}

Json parsed(std::string_view line) {
  auto json = Json::parse(line, nullptr, false);
  if (json.is_discarded()) corrupt("not JSON");
  return json;
}

// Names that are not UTF-8 are possible (a process may call itself anything) and must not make saving fail.
std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

// What a row of changes comes to.
class Sum {
 public:
  void add(const Json& change) {
    if (change.contains("bridges")) bridges_ = bridges_from(change);
    for (const auto& id : list(change, "gone")) {
      if (!id.is_string()) corrupt("gone holds what is no text");
      leases_.erase(*gone_.insert(id.get<std::string>()).first);
    }
    for (auto& lease : leases_from(change)) {
      order_.push_back(lease.id);
      leases_.insert_or_assign(lease.id, std::move(lease));
    }
  }

  void apply_to(Holdings& holdings) {
    if (bridges_) holdings.bridges = std::move(*bridges_);
    holdings.leases.erase_if([&](const Lease& lease) { return gone_.contains(lease.id); });
    const auto take = [&](const std::string& id, const auto& put) {
      const auto found = leases_.find(id);
      if (found == leases_.end()) return;
      put(std::move(found->second));
      leases_.erase(found);
    };
    holdings.leases.change_if(
        [&](const Lease& lease) { return leases_.contains(lease.id); },
        [&](Lease& lease) { take(lease.id, [&](Lease&& changed) { lease = std::move(changed); }); });
    for (const auto& id : order_)
      take(id, [&](Lease&& fresh) { holdings.leases.push_back(std::move(fresh)); });
    check_bridges(holdings);
  }

 private:
  std::optional<std::vector<Bridge>> bridges_;
  std::unordered_set<std::string> gone_;
  std::unordered_map<std::string, Lease> leases_;
  std::vector<std::string> order_;  // in which they came
};

}  // namespace

std::string to_json(const Holdings& holdings, std::string_view boot_id) {
  return line_of({{"schema", kSchema},
                  {"boot_id", boot_id},
                  {"firewall", to_string(holdings.firewall)},
                  {"bridges", list_of(holdings.bridges)},
                  {"leases", list_of(holdings.leases)}});
}

Holdings from_json(std::string_view text, std::string_view boot_id) {
  const auto end = text.find('\n');
  if (end == std::string_view::npos) corrupt("its first line has no end");
  const auto json = parsed(text.substr(0, end));
  if (number<int>(json, "schema") != kSchema)
    corrupt(fmt::format("schema {} is not known", number<int>(json, "schema")));
  // Rules and sysctls do not outlive a boot, the runtime directory may.
  if (state::text(json, "boot_id") != boot_id) return {};
  Holdings holdings;
  if (const auto kind = firewall::parse_firewall(state::text(json, "firewall"));
      kind && kind != Firewall::automatic)
    holdings.firewall = *kind;
  else
    corrupt("a firewall that is not known");
  holdings.bridges = bridges_from(json);
  holdings.leases = leases_from(json);
  apply_changes(holdings, text.substr(end + 1, text.rfind('\n') - end));
  return holdings;
}

std::string to_json_change(const Holdings& from, const Holdings& to) {
  auto gone = Json::array();
  auto leases = Json::array();
  LeaseList::compare(
      from.leases, to.leases,
      [&](const Lease& was, const Lease& is) {
        if (!(was == is)) leases.push_back(json_of(is));
      },
      [&](const Lease& lease) { gone.push_back(lease.id); },
      [&](const Lease& lease) { leases.push_back(json_of(lease)); });
  const bool same_bridges = from.bridges == to.bridges;
  if (gone.empty() && leases.empty() && same_bridges) return {};
  Json change{{"gone", std::move(gone)}, {"leases", std::move(leases)}};
  if (!same_bridges) change["bridges"] = list_of(to.bridges);
  return line_of(change);
}

void apply_changes(Holdings& holdings, std::string_view lines) {
  Sum sum;
  for (auto end = lines.find('\n'); end != std::string_view::npos; end = lines.find('\n')) {
    sum.add(parsed(lines.substr(0, end)));
    lines.remove_prefix(end + 1);
  }
  sum.apply_to(holdings);
}

}  // namespace hostnet::state
