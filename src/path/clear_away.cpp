// Passes each record to the path that made it.
#include "path/clear_away.hpp"

#include "core/log.hpp"
#include "core/strings.hpp"
#include "path/paths.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <thread>
#include <utility>

namespace hostnet::exposer {
namespace {

constexpr std::chrono::seconds kOwnersEnd{5};
constexpr std::chrono::milliseconds kOwnersPoll{2};
constexpr std::chrono::milliseconds kLongestOwnersPoll{50};

}  // namespace

void clear_away(PathTable table, const state::TunnelStore& store, const state::TunnelRecord& record,
                Deadline deadline) {
  const auto* const driver = find_path(table, record.via);
  if (driver == nullptr || driver->clear_away == nullptr)
    throw Error(Errc::failure, fmt::format("lease {}: there is no path {} to remove its leftovers", record.id,
                                           quote(record.via)));
  driver->clear_away(store, record, deadline);
}

void clear_dead_leases(PathTable table, const state::TunnelStore& store, Deadline deadline) {
  for (const auto& record : store.load_all()) {
    if (store.is_alive(record)) continue;
    try {
      clear_away(table, store, record, deadline);
      log::info("lease {}: its owner died; its leftovers are removed", record.id);
    } catch (const std::exception& error) {
      log::warn("{}", error.what());
    }
  }
  store.tidy();
}

void clear_dead_leases(const state::TunnelStore& store, Deadline deadline) {
  clear_dead_leases(paths(), store, deadline);
}

std::vector<RecordedLease> recorded_leases(PathTable table, std::vector<state::TunnelRecord> records) {
  std::vector<RecordedLease> out;
  for (auto& record : records) {
    if (record.stats.state == state::kFollowing) continue;
    const auto* const driver = find_path(table, record.via);
    if (driver != nullptr && (driver->describe != nullptr || record.stats.state == state::kWaiting))
      out.push_back({driver, std::move(record)});
  }
  return out;
}

std::set<std::string> end_followers(const state::TunnelStore& store, const std::string& beginning) {
  std::map<std::string, std::string> marks;  // by lease
  for (const auto& record : store.load())
    if (record.stats.state == state::kFollowing && record.follows.starts_with(beginning))
      marks[record.follows] = record.id;
  if (!beginning.empty() && marks.size() > 1) return {};  // ambiguous: the lists say so
  std::set<std::string> leases;
  for (const auto& [lease, mark] : marks) {
    store.remove(mark);
    leases.insert(lease);
  }
  return leases;
}

std::set<std::string> await_owners(const state::TunnelStore& store, std::span<const RecordedLease> leases) {
  std::set<std::string> open;
  for (const auto& [driver, record] : leases)
    if (driver->owner_closes && record.stats.state != state::kWaiting) open.insert(record.id);
  const auto limit = Deadline::after(kOwnersEnd);
  for (auto pause = kOwnersPoll;; pause = std::min(2 * pause, kLongestOwnersPoll)) {
    for (const auto& [driver, record] : leases)
      if (!store.is_revoked(record.id) || !store.is_alive(record)) open.erase(record.id);
    if (open.empty() || limit.expired()) return open;
    std::this_thread::sleep_for(pause);
  }
}

RecordView describe(const RecordedLease& lease) {
  const auto& stats = lease.record.stats;
  if (stats.state != state::kWaiting) return lease.driver->describe(lease.record);
  return {.kind = "record",
          .id = lease.record.id,
          .way = "state",
          .state = fmt::format("{} for {}: {}", stats.state, lease.record.target, stats.reason),
          .members = {{"state", json::Item(stats.state)}, {"reason", json::Item(stats.reason)}}};
}

}  // namespace hostnet::exposer
