// The nftables back end.
//
//   state      event                                          next
//   unknown    look(): generation equal before and after      known: state_ is the table
//   unknown    look(): generation changed while reading       reads again, until the deadline (timed_out)
//   known      generation unchanged                           known: nothing to read
//   known      generation changed by another program          unknown
//   known      make(): generation + 1, our transaction only   known: state_ updated
//   known      make(): generation + 2 or more                 unknown; apply() reads and compares again
//   known      make() fails                                   unknown; apply() tries again after 1 ms, 5
//                                                             attempts in all (kAttempts)
//   dormant    apply()                                        awake: flags cleared
//   dormant    matches()                                      false
//   dormant    guarded_bridges()                              throws
//   dormant    read_traffic()                                 no forwards
//
//   "known" means that generation_ has a value. bindings_ is known only while generation_ is. kLook: 10 s for
//   reads without a deadline of the caller.
#include "firewall/nftables.hpp"

#include "core/log.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <chrono>
#include <thread>
#include <utility>

namespace hostnet::firewall {
namespace {

// A foreign transaction in between can make ours fail in many ways (object exists, is gone, or is in use).
// After this many failures, each for a table that was just read, the cause is another one.
constexpr int kAttempts = 5;

constexpr std::chrono::seconds kLook{10};  // for reads without a deadline

// Whether a foreign transaction may be the cause of the failure. Waits 1 ms before it returns true.
bool may_try_again(const Error& error, int attempt, Deadline deadline) {
  if (error.code() == Errc::not_authorised || attempt >= kAttempts || deadline.expired()) return false;
  log::debug("{}; trying again", error.what());
  std::this_thread::sleep_for(std::chrono::milliseconds{1});
  return true;
}

Error changed_all_the_time() { return {Errc::timed_out, "other programs keep changing nf_tables"}; }

}  // namespace

// Whether the table is dormant, so that its chains see no packet. It must not be listed then: libnftables
// before 1.1 prints a table's flags from freed memory.
bool Nftables::is_dormant() {
  if (!tables_) tables_.emplace();
  const auto flags = tables_->flags(nft::kTableName);
  return flags && (*flags & NFT_TABLE_F_DORMANT) != 0;
}

// Adding an existing table without flags clears its flags.
bool Nftables::wake() {
  if (!is_dormant()) return false;
  if (!context_) context_.emplace();
  context_->run(fmt::format("add table ip {}\n", nft::kTableName));
  return true;
}

nft::State Nftables::read() {
  if (!tables_->flags(nft::kTableName)) return {};
  return nft::read_state(list());
}

std::string Nftables::list() {
  if (!context_) context_.emplace();
  return context_->run(fmt::format("list table ip {}\n", nft::kTableName));
}

const nft::State& Nftables::look(Deadline deadline) {
  if (!tables_) tables_.emplace();
  for (;;) {
    const auto before = tables_->generation();
    if (generation_ == before) return state_;
    forget();
    try {
      auto state = read();
      if (tables_->generation() == before) {
        state_ = std::move(state);
        generation_ = before;
        return state_;
      }
      // A change tore the reading.
    } catch (const Error&) {
      if (tables_->generation() == before || deadline.expired()) throw;
    }
    if (deadline.expired()) throw changed_all_the_time();
  }
}

void Nftables::forget() {
  generation_.reset();
  bindings_.reset();
}

// Runs the change in one transaction. Returns false when another program made one, too: state unknown then.
bool Nftables::make(Table table, nft::Change change) {
  const auto before = *std::exchange(generation_, std::nullopt);
  auto bindings = std::exchange(bindings_, std::nullopt);
  if (!context_) context_.emplace();
  context_->run(change.commands);
  if (tables_->generation() != before + 1) return false;
  nft::note(state_, table, std::move(change));
  bindings_ = std::move(bindings);
  generation_ = before + 1;
  return true;
}

bool Nftables::apply(const TablePlan& plan, Deadline deadline) {
  bool changed = false;
  for (int attempt = 1;; ++attempt) {
    if (!is_as_left() && wake()) changed = true;
    auto change = nft::change_to(plan, look(deadline));
    if (change.commands.empty()) return changed;
    try {
      if (make(plan.table, std::move(change))) return true;
    } catch (const Error& error) {
      if (!may_try_again(error, attempt, deadline)) throw;
      continue;
    }
    changed = true;
    if (deadline.expired()) throw changed_all_the_time();
  }
}

bool Nftables::is_as_left() { return tables_ && generation_ && tables_->generation() == *generation_; }

bool Nftables::change_forwards(const TablePlan& from, const TablePlan& to) {
  auto change = nft::change_between(from, to);
  if (change.commands.empty()) return false;
  if (!is_as_left() || !make(Table::nat, std::move(change))) throw changed_all_the_time();
  return true;
}

bool Nftables::bindings_match(const BindingPlan& plan) {
  if (!tables_) tables_.emplace();
  if (generation_ && tables_->generation() != *generation_) forget();
  if (generation_ && bindings_) return *bindings_ == plan;
  const auto flags = tables_->flags(nft::kTableName, NFPROTO_BRIDGE);
  if (!flags || plan.empty()) return !flags && plan.empty();
  if ((*flags & NFT_TABLE_F_DORMANT) != 0) return false;
  if (!context_) context_.emplace();
  return nft::is_bindings(context_->run(fmt::format("list table bridge {}\n", nft::kTableName)), plan);
}

std::string Nftables::binding_fault() {
  try {
    if (!context_) context_.emplace();
    return context_->would_take(nft::bindings_to_nft({})) ? "" : "this kernel has no nf_tables for bridges";
  } catch (const Error& error) {
    if (error.code() != Errc::no_path) throw;
    return error.what();
  }
}

bool Nftables::apply_bindings(const BindingPlan& plan, Deadline deadline) {
  for (int attempt = 1;; ++attempt) {
    const bool right = bindings_match(plan);
    const auto before = tables_->generation();
    if (right) {
      if (generation_ == before) bindings_ = plan;
      return false;
    }
    // A known table gets and loses elements; any other is made from scratch.
    const bool known = generation_ == before && bindings_ && !bindings_->empty() && !plan.empty();
    const auto commands = known          ? nft::bindings_between(*bindings_, plan)
                          : plan.empty() ? nft::no_bindings()
                                         : nft::bindings_to_nft(plan);
    if (!context_) context_.emplace();
    try {
      const bool was_known = generation_ == before;
      forget();  // the state is unknown while the commands run, and when they fail
      context_->run(commands);
      if (was_known && tables_->generation() == before + 1) {
        generation_ = before + 1;
        bindings_ = plan;
      }
      return true;
    } catch (const Error& error) {
      if (!may_try_again(error, attempt, deadline)) throw;
    }
  }
}

bool Nftables::matches(const TablePlan& plan) {
  return (is_as_left() || !is_dormant()) &&
         nft::change_to(plan, look(Deadline::after(kLook))).commands.empty();
}

std::vector<std::string> Nftables::guarded_bridges() {
  if (is_dormant())
    throw Error(Errc::failure, fmt::format("the nftables table {} is dormant", nft::kTableName),
                fmt::format("activate it with: nft add table ip {}", nft::kTableName));
  return nft::guarded_bridges(look(Deadline::after(kLook)));
}

std::vector<ForwardTraffic> Nftables::read_traffic() {
  if (!tables_) tables_.emplace();
  for (int attempt = 1;; ++attempt) {
    if (!tables_->flags(nft::kTableName) || is_dormant()) return {};
    try {
      return nft::read_forwards(list());
    } catch (const Error&) {
      if (attempt >= kAttempts) throw;  // before that, the table may just have gone
    }
  }
}

}  // namespace hostnet::firewall
