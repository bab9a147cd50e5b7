// Reads and formats leases on the ssh path.
#include "cli/tunnel_view.hpp"

#include "cli/held.hpp"
#include "cli/lease_view.hpp"
#include "path/paths.hpp"
#include "path/sidecar/clear_away.hpp"

#include <fmt/format.h>

#include <array>
#include <ctime>

namespace hostnet::cli {
namespace {

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array units{"B", "kB", "MB", "GB", "TB"};
  auto amount = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; amount >= 1000 && unit + 1 < units.size(); ++unit) amount /= 1000;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", amount, units[unit]);
}

}  // namespace

std::vector<state::TunnelRecord> look_at_tunnels(const state::TunnelStore& store, const Globals& globals) {
  if (!globals.dry_run) exposer::clear_dead_tunnels(store, command_deadline());
  auto records = store.load();
  std::erase_if(records, [](const auto& record) { return !exposer::goes_by_sidecar(record.via); });
  return records;
}

json::Value to_json(const state::TunnelRecord& record) {
  const auto& stats = record.stats;
  return {
      {"id", record.id},
      {"target", record.target},
      {"via", to_string(record.via)},
      {"label", record.label},
      {"interface", record.network},
      {"network", record.network},
      {"gateway", record.address},
      {"sources", record.sources},
      {"ports", to_json(record.ports)},
      {"alias_in", record.alias_in},
      {"created", record.created},
      {"expires", record.expires},
      {"owner", {{"pid", record.owner.pid}, {"uid", record.owner.uid}, {"command", record.owner.command}}},
      {"sidecar", record.sidecar},
      {"tunnel",
       {{"state", stats.state},
        {"reason", stats.reason},
        {"cipher", stats.cipher},
        {"sessions", stats.sessions},
        {"reconnects", stats.reconnects},
        {"connections_open", stats.open},
        {"connections", stats.accepted},
        {"refused_strangers", stats.strangers},
        {"refused_unserved", stats.unserved},
        {"bytes_to_host", stats.bytes_to_host},
        {"bytes_from_host", stats.bytes_from_host}}}};
}

Row row_of(const state::TunnelRecord& record) {
  return {record.id,
          record.target,
          "ssh",
          ports_text(record.ports),
          record.network,
          record.address,
          fmt::format("{} ({})", record.owner.command, record.owner.pid),
          span_text(std::time(nullptr) - record.created),
          record.label};
}

std::vector<Row> rows_of(const state::TunnelRecord& record) {
  std::string sources;
  for (const auto& source : record.sources) sources += (sources.empty() ? "" : ", ") + source;
  return {
      {"lease", record.id},
      {"target", record.target},
      {"via", to_string(record.via)},
      {"ports", ports_text(record.ports)},
      {"network", record.network},
      {"sidecar", fmt::format("{} ({})", record.sidecar.substr(0, 12), record.address)},
      {"sources", sources.empty() ? "every container on the network" : sources},
      {"alias in", fmt::format("{} containers", record.alias_in.size())},
      {"owner", fmt::format("{} (pid {}, uid {})", record.owner.command, record.owner.pid, record.owner.uid)},
      {"label", record.label},
      {"tunnel", tunnel_text(record.stats)}};
}

std::string tunnel_text(const state::TunnelStats& stats) {
  return fmt::format("{}{}{}, {} on {} session{}, {} connections open of {}, {} to the host, {} from it",
                     stats.state, stats.reason.empty() ? "" : ": ", stats.reason, stats.cipher,
                     stats.sessions, stats.sessions == 1 ? "" : "s", stats.open, stats.accepted,
                     bytes_text(stats.bytes_to_host), bytes_text(stats.bytes_from_host));
}

}  // namespace hostnet::cli
