// Formats native leases.
#include "cli/lease_view.hpp"

#include "hostnet/path.hpp"
#include "path/native/dry_run.hpp"
#include "path/native/native.hpp"
#include "path/paths.hpp"

#include <fmt/format.h>

#include <ctime>
#include <optional>

namespace hostnet::cli {

void add_place(json::Value& object, std::string_view via, const std::string& place) {
  const auto* const path = exposer::find_path(exposer::paths(), via);
  const bool is_network = path != nullptr && !path->serves_bridges;
  const auto named = place.empty() ? std::nullopt : std::optional(place);
  object["interface"] = is_network ? std::nullopt : named;
  object["network"] = is_network ? named : std::nullopt;
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
                    exposer::interface_of(lease, snapshot), lease.gateways.front().to_string(),
                    fmt::format("{} ({})", lease.owner.command, lease.owner.pid),
                    span_text(now - lease.created), lease.label});
  return rows;
}

}  // namespace hostnet::cli
