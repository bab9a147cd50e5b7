// Reads and formats leases that have a record: what every record holds, and what its path adds.
#include "cli/record_view.hpp"

#include "cli/held.hpp"
#include "cli/lease_view.hpp"
#include "lease/port_json.hpp"
#include "path/paths.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <utility>

namespace hostnet::cli {

RecordedLeases look_at_records(const state::TunnelStore& store, const Globals& globals) {
  try {
    if (!globals.dry_run) exposer::clear_dead_leases(store, command_deadline());
    return exposer::recorded_leases(exposer::paths(), store.load());
  } catch (const Error& error) {
    // The user has named root's folder, where no user can have records.
    if (!only_hides_roots(error, store.folder())) throw;
    return {};
  }
}

void drop_returned(RecordedLeases& recorded, const state::Snapshot& held) {
  std::erase_if(recorded, [&](const exposer::RecordedLease& one) {
    return std::ranges::find(held.leases, one.record.id, &state::Lease::id) != held.leases.end();
  });
}

json::Value to_json(const exposer::RecordedLease& lease) {
  const auto& record = lease.record;
  json::Value out{
      {"id", record.id},
      {"target", record.target},
      {"via", lease.driver->name},
      {"state", to_string(ExposureState::active)},
      {"label", record.label},
      {"gateway", record.address},
      {"sources", record.sources},
      {"unpinned", nullptr},
      {"ports", to_json(record.ports)},
      {"alias_in", record.alias_in},
      {"created", record.created},
      {"expires", record.expires},
      {"owner", {{"pid", record.owner.pid}, {"uid", record.owner.uid}, {"command", record.owner.command}}}};
  add_place(out, lease.driver->name, record.network);
  for (auto& [name, value] : exposer::describe(lease).members) out[name] = std::move(value);
  return out;
}

Row row_of(const exposer::RecordedLease& lease) {
  const auto& record = lease.record;
  return {record.id,
          record.target,
          lease.driver->name,
          ports_text(record.ports),
          record.network,
          record.address,
          fmt::format("{} ({})", record.owner.command, record.owner.pid),
          span_text(std::time(nullptr) - record.created),
          record.label};
}

std::vector<Row> rows_of(const exposer::RecordedLease& lease) {
  const auto& record = lease.record;
  const auto view = exposer::describe(lease);
  std::string sources;
  for (const auto& source : record.sources) sources += (sources.empty() ? "" : ", ") + source;
  std::vector<Row> rows{{"lease", record.id},
                        {"target", record.target},
                        {"via", lease.driver->name},
                        {"ports", ports_text(record.ports)}};
  // One that waits has nothing on any network.
  if (record.stats.state != state::kWaiting)
    rows.insert(
        rows.end(),
        {{"network", record.network},
         {view.kind, record.address.empty() ? view.id : fmt::format("{} ({})", view.id, record.address)},
         {"sources", sources.empty() ? "every container on the network" : sources},
         {"alias in", fmt::format("{} containers", record.alias_in.size())}});
  if (!view.listens.empty()) rows.push_back({"listens at", view.listens});
  const auto& owner = record.owner;
  rows.push_back({"owner", fmt::format("{} (pid {}, uid {})", owner.command, owner.pid, owner.uid)});
  rows.push_back({"label", record.label});
  rows.push_back({view.way, view.state});
  return rows;
}

std::string state_of(const exposer::RecordedLease& lease) { return exposer::describe(lease).state; }

}  // namespace hostnet::cli
