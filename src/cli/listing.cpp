// Collects the journal's leases, the helper's, and those with a record.
#include "cli/listing.hpp"

#include "cli/held.hpp"
#include "cli/helper_view.hpp"
#include "cli/lease_view.hpp"
#include "cli/record_view.hpp"
#include "path/native/dry_run.hpp"

#include <fmt/format.h>

#include <utility>

namespace hostnet::cli {
namespace {

std::string joined(const std::vector<HostPort>& ports) {
  std::string out;
  for (const auto& port : ports) out += fmt::format("{}{}", out.empty() ? "" : ",", port.to_string());
  return out;
}

}  // namespace

std::vector<Row> Listing::rows() const {
  auto out = list_rows({});
  for (const auto& lease : leases) out.push_back(lease.row);
  return out;
}

std::string Listing::gist() const {
  std::string out = hides_roots ? "hidden\n" : "\n";
  for (const auto& lease : leases) {
    const auto view = lease.object.view();
    const auto tunnel = view.find("tunnel");
    for (const char* const member :
         {"id", "target", "via", "state", "label", "interface", "network", "gateway", "sources", "alias_in",
          "expires", "owner", "reason", "sidecar"})
      out += view.find(member).dump() + "\t";
    out += lease.ports + tunnel.find("state").dump() + tunnel.find("reason").dump() + "\n";
  }
  return out;
}

// The records first: the journal has a lease that comes back before its record goes.
VisibleLeases look_at_kinds(exposer::LeaseStore& store, const Globals& globals) {
  VisibleLeases out;
  out.recorded = look_at_records(state::TunnelStore(globals.runtime_dir), globals);
  out.helped = look_at_helper();
  out.journal = look_if_readable(store, globals);
  if (out.journal) drop_returned(out.recorded, *out.journal);
  return out;
}

Listing look_at_leases(const Globals& globals) {
  auto store = open_store(globals);
  const auto [journal, helped, recorded] = look_at_kinds(store, globals);
  const auto held = journal.value_or(state::Snapshot{});
  Listing out;
  out.hides_roots = !journal;
  auto rows = list_rows(held);
  std::size_t row = 1;  // behind the heading
  for (const auto& lease : held.leases)
    out.leases.push_back({.id = lease.id,
                          .object = exposer::lease_to_json(lease, held),
                          .ports = joined(lease.ports),
                          .row = std::move(rows[row++]),
                          .owner = lease.owner.pid});
  for (const auto& lease : helped)
    out.leases.push_back({.id = lease.id,
                          .object = to_json(lease),
                          .ports = joined(lease.ports),
                          .row = row_of(lease),
                          .owner = lease.pid});
  for (const auto& lease : recorded)
    out.leases.push_back({.id = lease.record.id,
                          .object = to_json(lease),
                          .ports = joined(lease.record.ports),
                          .row = row_of(lease),
                          .owner = lease.record.owner.pid});
  return out;
}

}  // namespace hostnet::cli
