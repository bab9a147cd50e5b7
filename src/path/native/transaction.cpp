// Changes the journal and the kernel together.
#include "path/native/transaction.hpp"

#include "core/log.hpp"
#include "hostnet/error.hpp"
#include "lease/owner.hpp"
#include "path/native/lease_store.hpp"
#include "path/native/names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <tuple>
#include <utility>

namespace hostnet::exposer {
namespace {

using state::Lease;
using state::Snapshot;

constexpr std::chrono::milliseconds kAtOnce{1000};  // longest time that a bridge stays open without its guard
constexpr std::chrono::seconds kWayBack{10};

std::set<std::string> ids_of(const std::vector<Ended>& ended) {
  std::set<std::string> ids;
  for (const auto& one : ended) ids.insert(one.lease);
  return ids;
}

// The journal's content on the way from `wanted` back to `before`.
Snapshot marked_on_the_way_back(const Snapshot& before, const Snapshot& wanted) {
  Snapshot marked = before;
  marked.bridges = wanted.bridges;
  marked.firewall = wanted.firewall;
  const auto added = [&](Lease lease) {
    lease.releasing = true;
    marked.leases.push_back(std::move(lease));
  };
  const auto nothing = [](const auto&...) {};
  state::LeaseList::compare(before.leases, wanted.leases, nothing, nothing, added);
  return marked;
}

}  // namespace

std::optional<Clash> find_clash(const std::vector<firewall::Forward>& standing,
                                const std::vector<firewall::Forward>& added) {
  const auto key = [](const firewall::Forward& forward) {
    return std::tuple(forward.bridge, forward.gateway, forward.source, forward.mac, forward.protocol,
                      forward.listen);
  };
  std::map<decltype(key(firewall::Forward{})), const firewall::Forward*> by_key;
  for (const auto& forward : standing) by_key.emplace(key(forward), &forward);
  for (const auto& forward : added) {
    const auto [found, fresh] = by_key.emplace(key(forward), &forward);
    const auto& older = *found->second;
    if (!fresh && (older.host != forward.host || older.service != forward.service))
      return Clash{older.lease, forward, {older.service, older.host}};
  }
  return std::nullopt;
}

std::string Clash::older_text() const {
  return older_service.address == kLoopback ? fmt::format("host port {}", older_service.port)
                                            : older_service.to_string();
}

Transaction::Transaction(LeaseStore& store, Deadline deadline)
    : store_(store), deadline_(deadline), journal_(store.file_, deadline), held_(store.look()) {}

void Transaction::set_limit(std::chrono::milliseconds span) { deadline_ = Deadline::after(span); }

void Transaction::save(Snapshot snapshot) {
  journal_.save(snapshot);
  held_ = std::move(snapshot);
}

std::vector<Ended> Transaction::reap(const std::function<std::set<std::string>()>& watched) {
  auto& rtnl = store_.executor_.rtnl();
  auto ended = without_bridge(held_, rtnl);
  const auto news = store_.file_.news();
  if (ended.empty() && watched && store_.all_watched_ == news) return ended;
  const auto ours = watched ? watched() : std::set<std::string>{};
  store_.forget_watched();
  if (std::ranges::all_of(held_.leases, [&](const Lease& lease) { return ours.contains(lease.id); }))
    store_.all_watched_ = news;
  for (auto&& more : {without_port(held_, rtnl), without_owner(held_, store_.folder(), ours)})
    ended.insert(ended.end(), more.begin(), more.end());
  std::set<std::string> known;  // keep the first reason
  std::erase_if(ended, [&](const Ended& one) { return !known.insert(one.lease).second; });
  if (ended.empty()) return ended;
  // Log a repeated attempt only once.
  for (const auto& one : ended)
    if (!store_.tried_.contains(one.lease)) log::info("lease {} ends: {}", one.lease, one.reason);
  store_.tried_ = ids_of(ended);
  remove(store_.tried_);
  store_.tried_.clear();
  return ended;
}

void Transaction::add(std::vector<Lease> leases, std::span<const state::Bridge> bridges) {
  auto& executor = store_.executor_;
  Snapshot wanted = held_;
  wanted.firewall = store_.firewall_for(held_).kind;
  executor.use(wanted.firewall);
  for (const auto& bridge : bridges) {
    if (wanted.bridge(bridge.ifindex) != nullptr) continue;
    wanted.bridges.push_back(bridge);
    // The caller read the setting before it had the lock; a lease that has ended since may have switched it
    // on.
    if (const auto link = executor.rtnl().link(bridge.ifindex))
      wanted.bridges.back().prior_route_localnet = link->route_localnet;
  }

  Ports ports;
  for (const auto& lease : leases)
    for (const auto& port : lease.ports) ports.emplace(port.container, port.protocol);
  const Snapshot added{wanted.bridges, leases};
  if (const auto clash = find_clash(forwards_of(held_, ports), forwards_of(added)))
    throw Error(Errc::conflict,
                fmt::format("port {} of {} leads to {} already, by lease {}", clash->forward.listen,
                            clash->forward.bridge, clash->older_text(), clash->older),
                fmt::format("choose another container port (HOST:CONTAINER), or: tc-hostnet release {}",
                            clash->older));

  for (auto& lease : leases) {
    store_.settle_binding(lease);
    wanted.leases.push_back(std::move(lease));
  }
  lead_to(std::move(wanted));
}

void Transaction::amend(Lease lease) {
  const auto* const present = held_.lease(lease.id);
  if (present == nullptr || present->releasing)
    throw Error(Errc::not_found, fmt::format("lease {} is no longer held", lease.id));
  Snapshot wanted = held_;
  store_.settle_binding(lease);
  wanted.leases.replace(std::move(lease));
  lead_to(std::move(wanted));
}

void Transaction::lead_to(Snapshot wanted) {
  auto before = held_;
  save(std::move(wanted));
  before_ = std::move(before);
  try {
    store_.executor_.lead(*before_, held_, deadline_);
  } catch (...) {
    go_back();
    throw;
  }
}

void Transaction::go_back() noexcept {
  if (!before_) return;
  try {
    auto before = std::move(*before_);
    before_.reset();
    auto marked = marked_on_the_way_back(before, held_);
    take_down(std::move(marked), std::move(before), Deadline::after(kWayBack));
  } catch (const std::exception& error) {
    log::error("undoing the set-up: {}", error.what());
  } catch (...) {
    log::error("undoing the set-up failed");
  }
}

void Transaction::remove(const std::set<std::string>& leases) {
  const auto is_removed = [&](const Lease& lease) { return leases.contains(lease.id); };
  Snapshot marked = held_;
  Snapshot wanted = held_;
  wanted.leases.erase_if(is_removed);
  wanted.drop_idle_bridges();
  if (wanted.leases.size() == held_.leases.size()) return;
  marked.leases.change_if(is_removed, [](Lease& lease) { lease.releasing = true; });
  for (const auto& lease : held_.leases)
    if (is_removed(lease)) std::ranges::move(names_of(lease), std::back_inserter(wanted.names));
  const bool leaves_names = wanted.names.size() > held_.names.size();
  before_.reset();
  take_down(std::move(marked), std::move(wanted), deadline_);
  if (leaves_names) store_.new_names_ = true;
}

// Runs every step. A failure leaves the journal at `marked`.
void Transaction::take_down(Snapshot marked, Snapshot wanted, Deadline deadline) {
  const auto watched =
      std::exchange(store_.all_watched_, std::nullopt);  // restored if no lease stays half released
  const auto standing = held_;
  save(marked);
  store_.executor_.lead_all(standing, wanted, deadline)
      .raise("release", "fix the cause, then: tc-hostnet release --all");
  save(std::move(wanted));
  // A process may keep its descriptor for long, so remove the file now.
  for (const auto& lease : marked.leases)
    if (lease.releasing && lease.owner.lifetime != state::Lifetime::process)
      state::remove_owner_file(store_.folder(), lease.owner.token);
  store_.all_watched_ = watched;
}

void Transaction::settle(std::vector<state::NameLeft> left) {
  if (held_.names == left) return;
  auto wanted = held_;
  wanted.names = std::move(left);
  save(std::move(wanted));
}

bool Transaction::repair() {
  auto& executor = store_.executor_;
  try {
    return executor.lead(held_, held_, Deadline::after(std::min(kAtOnce, deadline_.remaining())));
  } catch (const std::exception& error) {
    log::warn("{}; route_localnet is off until the rules are restored", error.what());
  }
  store_.close(held_);
  executor.lead(held_, held_, deadline_);
  return true;
}

std::vector<std::string> Transaction::sweep() {
  auto needed = store_.leftovers({}).needed;
  if (needed.empty()) store_.take_away({}, deadline_);
  return needed;
}

}  // namespace hostnet::exposer
