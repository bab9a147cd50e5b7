// The nftables applier.
#include "firewall/nftables.hpp"

#include "core/log.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <linux/netfilter/nf_tables.h>

#include <chrono>
#include <thread>
#include <utility>

namespace hostnet::firewall {
namespace {

// Somebody else's transaction in between may make ours fail in many ways (the object is there, or gone, or in
// use). What fails as often as this for a table that was read just before fails for a reason of its own.
constexpr int kAttempts = 5;

constexpr std::chrono::seconds kLook{10};  // for those who only want to know

Error changed_all_the_time() { return {Errc::timed_out, "nf_tables is changed by others all the time"}; }

}  // namespace

nft::State Nftables::read() {
  const auto flags = tables_->flags(nft::kTableName);
  if (!flags) return {};
  auto state = nft::read_state(list());
  state.dormant = (*flags & NFT_TABLE_F_DORMANT) != 0;
  return state;
}

std::string Nftables::list() {
  if (!context_) context_.emplace();
  return context_->run(fmt::format("list table ip {}\n", nft::kTableName));
}

const nft::State& Nftables::look(Deadline deadline) {
  if (!tables_) tables_.emplace();
  for (int attempt = 1;; ++attempt) {
    const auto before = tables_->generation();
    if (generation_ == before) return state_;
    generation_.reset();
    doors_.reset();
    try {
      auto state = read();
      if (tables_->generation() == before) {
        state_ = std::move(state);
        generation_ = before;
        return state_;
      }
      // Torn by a change.
    } catch (const Error&) {
      if (attempt >= kAttempts || tables_->generation() == before) throw;
    }
    if (deadline.expired()) throw changed_all_the_time();
  }
}

nft::Change Nftables::change_to(const TablePlan& plan, const std::optional<nft::Middle>& middle) {
  return middle ? nft::change_between(*doors_, plan, *middle) : nft::change_to(plan, state_);
}

// What is remembered of the doors follows by what has changed, for there may be very many.
void Nftables::note(const TablePlan& plan, const std::optional<nft::Middle>& middle, nft::Change change) {
  nft::note(state_, plan.table, std::move(change));
  if (plan.table != Table::nat) return;
  if (!middle) {
    doors_ = plan;
    return;
  }
  auto& rules = doors_->rules;
  const auto at = [](auto& list, std::size_t place) {
    return list.begin() + static_cast<std::ptrdiff_t>(place);
  };
  rules.erase(at(rules, middle->begin), at(rules, middle->from_end));
  rules.insert(at(rules, middle->begin), at(plan.rules, middle->begin), at(plan.rules, middle->to_end));
  doors_->jumps = plan.jumps;
}

bool Nftables::apply(const TablePlan& plan, Deadline deadline) {
  bool changed = false;
  for (int attempt = 1;; ++attempt) {
    look(deadline);
    std::optional<nft::Middle> middle;
    if (plan.table == Table::nat && doors_ && !doors_->empty() && !plan.empty())
      middle = nft::middle_of(doors_->rules, plan.rules);
    auto change = change_to(plan, middle);
    if (change.commands.empty()) {
      if (!middle) note(plan, middle, std::move(change));
      return changed;
    }
    const auto before = *std::exchange(generation_, std::nullopt);
    try {
      if (!context_) context_.emplace();
      context_->run(change.commands);
    } catch (const Error& error) {
      if (error.code() == Errc::not_authorised || attempt >= kAttempts || deadline.expired()) throw;
      log::debug("{}; trying again", error.what());
      std::this_thread::sleep_for(std::chrono::milliseconds{1});
      continue;
    }
    changed = true;
    // One further is our own transaction and nothing else. Where it is more, the next look reads the table.
    if (tables_->generation() == before + 1) {
      note(plan, middle, std::move(change));
      generation_ = before + 1;
      return true;
    }
    if (deadline.expired()) throw changed_all_the_time();
  }
}

bool Nftables::matches(const TablePlan& plan) {
  return nft::change_to(plan, look(Deadline::after(kLook))).commands.empty();
}

std::vector<std::string> Nftables::guarded_bridges() {
  return nft::guarded_bridges(look(Deadline::after(kLook)));
}

std::vector<DoorTraffic> Nftables::read_traffic() {
  if (!tables_) tables_.emplace();
  for (int attempt = 1;; ++attempt) {
    if (!tables_->flags(nft::kTableName)) return {};
    try {
      return nft::read_doors(list());
    } catch (const Error&) {
      if (attempt >= kAttempts) throw;  // else it may have gone meanwhile
    }
  }
}

}  // namespace hostnet::firewall
