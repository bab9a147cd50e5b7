// Writes and removes aliases.
#include "path/native/names.hpp"

#include "core/log.hpp"
#include "hostnet/exposer.hpp"
#include "lease/same_ports.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace hostnet::exposer {
namespace {

constexpr std::chrono::seconds kLock{10};  // wait for the journal's lock, to strike a name off

void warn_of(const NameTried& tried) {
  if (!tried.failure) return;
  if (tried.failure->code() == Errc::timed_out && tried.name.tries + 1 < kNameTries)
    log::warn(
        "{} stays in the hosts file of container {} for now and leads nowhere: {}; the next command tries "
        "again",
        kAlias, engine::called(tried.name.record), tried.failure->what());
  else
    log::warn("the hosts file of container {} is not tidied: {}", engine::called(tried.name.record),
              tried.failure->what());
}

std::unique_lock<std::mutex> locked(std::mutex* guard) {
  return guard == nullptr ? std::unique_lock<std::mutex>() : std::unique_lock(*guard);
}

}  // namespace

Deadline name_budget(Deadline deadline) {
  return Deadline::after(std::min(engine::kAliasBudget, deadline.remaining()));
}

void write_names(std::span<const state::Lease> leases, Deadline budget, bool bare) {
  std::vector<engine::AliasEdit> edits;
  std::vector<const state::Lease*> whose;
  for (const auto& lease : leases) {
    const auto beside = names_beside(lease.ports);
    const auto reclaimed = bare ? std::optional<Ip>(lease.gateways.front()) : std::nullopt;
    for (const auto& record : lease.aliases) {
      edits.push_back({record, lease.id, lease.gateways.front(), lease.gateways, beside, reclaimed});
      whose.push_back(&lease);
    }
  }
  if (edits.empty()) return;
  const auto outcomes = engine::edit_aliases(edits, kAlias, budget);
  for (std::size_t i = 0; i < edits.size(); ++i) {
    if (!outcomes[i]) continue;
    const auto& error = *outcomes[i];
    const auto what = fmt::format("{} is not written into container {}: {}", kAlias,
                                  engine::called(edits[i].record), error.what());
    // A lease for one container must have the alias; a network's containers get it on a best-effort basis.
    if (whose[i]->sources.empty())
      log::warn("{}", what);
    else if (error.code() == Errc::timed_out)
      throw Error(error.code(), what, "leave the container's hosts file alone with --no-alias",
                  error.sys_errno());
    else
      throw error;
  }
}

std::vector<state::NameLeft> names_of(const state::Lease& lease) {
  std::vector<state::NameLeft> names;
  for (const auto& record : lease.aliases) names.push_back({.lease = lease.id, .record = record});
  return names;
}

std::vector<NameTried> take_out(std::vector<state::NameLeft> names, Deadline budget) {
  std::erase_if(names, [](const state::NameLeft& name) { return !engine::may_remove_alias(name.record); });
  std::ranges::stable_sort(names, {}, &state::NameLeft::tries);
  if (names.empty()) return {};
  std::vector<engine::AliasEdit> edits;
  for (const auto& name : names) edits.push_back({name.record, name.lease, std::nullopt});
  auto outcomes = engine::edit_aliases(edits, kAlias, budget);
  std::vector<NameTried> tried;
  for (std::size_t i = 0; i < names.size(); ++i) {
    tried.push_back({std::move(names[i]), std::move(outcomes[i])});
    warn_of(tried.back());
  }
  return tried;
}

std::vector<state::NameLeft> still_left(std::vector<state::NameLeft> names,
                                        std::span<const NameTried> tried) {
  std::vector<state::NameLeft> left;
  for (auto& name : names) {
    const auto found = std::ranges::find_if(tried, [&](const NameTried& one) {
      return one.name.lease == name.lease && one.name.record == name.record;
    });
    if (found == tried.end()) {
      left.push_back(std::move(name));
    } else if (found->failure && found->failure->code() == Errc::timed_out && ++name.tries < kNameTries) {
      left.push_back(std::move(name));
    }
  }
  return left;
}

void finish_names(LeaseStore& store, Deadline budget, std::mutex* guard) noexcept {
  try {
    std::vector<state::NameLeft> names;
    {
      const auto lock = locked(guard);
      names = store.peek().names;
    }
    const auto tried = take_out(std::move(names), budget);
    if (tried.empty()) return;
    const auto lock = locked(guard);
    auto transaction = store.begin(Deadline::after(kLock));
    transaction.settle(still_left(transaction.held().names, tried));
    transaction.tidy();
  } catch (const std::exception& error) {
    log::warn("the containers' hosts files are not tidied: {}", error.what());
  }
}

}  // namespace hostnet::exposer
