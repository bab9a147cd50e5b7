// Formats native leases.
#include "cli/lease_view.hpp"

#include "hostnet/path.hpp"
#include "path/native/native.hpp"

#include <fmt/format.h>

#include <ctime>

namespace hostnet::cli {
namespace {

json::Value texts(const std::vector<Ipv4>& addresses) {
  auto out = json::array();
  for (const auto address : addresses) out.push_back(address.to_string());
  return out;
}

}  // namespace

std::string interface_of(const state::Lease& lease, const state::Snapshot& snapshot) {
  const auto* const bridge = snapshot.bridge(lease.ifindex);
  return bridge == nullptr ? "?" : bridge->name;
}

json::Value to_json(const std::vector<HostPort>& ports) {
  auto out = json::array();
  for (const auto& port : ports) {
    json::Value one{
        {"host", port.host}, {"container", port.container}, {"protocol", to_string(port.protocol)}};
    if (!port.socket.empty()) one["socket"] = port.socket;
    out.push_back(std::move(one));
  }
  return out;
}

json::Value to_json(const state::Lease& lease, const state::Snapshot& snapshot) {
  auto containers = json::array();
  for (const auto& alias : lease.aliases) containers.push_back(alias.container);
  const auto why = why_unpinned(lease);
  return {{"id", lease.id},
          {"target", lease.target},
          {"via", to_string(exposer::path_of(lease))},
          {"label", lease.label},
          {"interface", interface_of(lease, snapshot)},
          {"ifindex", lease.ifindex},
          {"gateway", lease.gateways.front().to_string()},
          {"gateways", texts(lease.gateways)},
          {"sources", texts(lease.sources)},
          {"unpinned", why.empty() ? std::nullopt : std::optional(why)},
          {"mac", lease.mac ? std::optional(lease.mac->to_string()) : std::nullopt},
          {"ports", to_json(lease.ports)},
          {"alias_in", std::move(containers)},
          {"created", lease.created},
          {"expires", lease.expires},
          {"owner", {{"pid", lease.owner.pid}, {"uid", lease.owner.uid}, {"command", lease.owner.command}}}};
}

std::string ports_text(const std::vector<HostPort>& ports) {
  constexpr std::size_t shown = 8;
  std::string out;
  for (std::size_t i = 0; i < ports.size() && i < shown; ++i)
    out += fmt::format("{}{}", i > 0 ? ", " : "", ports[i].to_string());
  if (ports.size() > shown) out += fmt::format(" and {} more", ports.size() - shown);
  return out;
}

std::string span_text(std::int64_t seconds) {
  if (seconds < 120) return fmt::format("{} s", seconds);
  if (seconds < 7200) return fmt::format("{} min", seconds / 60);
  if (seconds < 172'800) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} d", seconds / 86'400);
}

std::vector<Row> list_rows(const state::Snapshot& snapshot) {
  std::vector<Row> rows{{"LEASE", "TARGET", "VIA", "PORTS", "INTERFACE", "GATEWAY", "OWNER", "AGE", "LABEL"}};
  const auto now = std::time(nullptr);
  for (const auto& lease : snapshot.leases)
    rows.push_back({lease.id, lease.target, to_string(exposer::path_of(lease)), ports_text(lease.ports),
                    interface_of(lease, snapshot), lease.gateways.front().to_string(),
                    fmt::format("{} ({})", lease.owner.command, lease.owner.pid),
                    span_text(now - lease.created), lease.label});
  return rows;
}

}  // namespace hostnet::cli
