// The journal's text. Strict on the way in: a field that is missing, of another type or out of range means
// that the file is not ours, and acting on it could set a sysctl or edit a file that never was.
#include "core/strings.hpp"
#include "firewall/backend.hpp"
#include "hostnet/error.hpp"
#include "state/journal.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

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

Bridge bridge_from(const Json& json) {
  return {.ifindex = number<int>(json, "ifindex"),
          .name = text(json, "name"),
          .prior_route_localnet = flag(json, "prior_route_localnet")};
}

}  // namespace

std::string to_json(const Lease& lease) {
  // Names that are not UTF-8 are possible (a process may call itself anything) and must not make saving fail.
  return json_of(lease).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string to_json(const Holdings& holdings, std::span<const std::string> leases, std::string_view boot_id) {
  auto list = Json::array();
  for (const auto& bridge : holdings.bridges)
    list.push_back({{"ifindex", bridge.ifindex},
                    {"name", bridge.name},
                    {"prior_route_localnet", bridge.prior_route_localnet}});
  return fmt::format(R"({{"schema":{},"boot_id":{},"firewall":"{}","bridges":{},"leases":[{}]}})", kSchema,
                     Json(boot_id).dump(), to_string(holdings.firewall),
                     list.dump(-1, ' ', false, Json::error_handler_t::replace), fmt::join(leases, ","));
}

std::string to_json(const Holdings& holdings, std::string_view boot_id) {
  std::vector<std::string> leases;
  for (const auto& lease : holdings.leases) leases.push_back(to_json(lease));
  return to_json(holdings, leases, boot_id);
}

Holdings from_json(std::string_view text, std::string_view boot_id) {
  const auto json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) corrupt("not JSON");
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
  for (const auto& bridge : list(json, "bridges")) holdings.bridges.push_back(bridge_from(bridge));
  for (const auto& entry : list(json, "leases")) {
    try {
      holdings.leases.push_back(lease_from(entry));
    } catch (const Error& error) {
      if (error.code() == Errc::state_corrupt) throw;
      corrupt(error.what());
    }
    if (holdings.bridge(holdings.leases.back().ifindex) == nullptr) corrupt("a lease on no bridge");
  }
  return holdings;
}

}  // namespace hostnet::state
