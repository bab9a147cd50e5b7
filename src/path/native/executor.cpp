// Runs the steps.
#include "path/native/executor.hpp"

#include "core/log.hpp"
#include "firewall/managed_input.hpp"
#include "hostnet/error.hpp"
#include "netlink/conntrack.hpp"
#include "netlink/sock_diag.hpp"

#include <fmt/format.h>

#include <chrono>
#include <thread>
#include <utility>

namespace hostnet::exposer {
namespace {

constexpr std::chrono::milliseconds kUnderWay{2};  // ample for a packet to get from PREROUTING to INPUT
constexpr int kLooks = 3;

}  // namespace

bool Executor::lead(const state::Snapshot& before, const state::Snapshot& after, Deadline deadline) {
  if (const auto changed = lead_shortly(before, after, deadline)) return *changed;
  const bool changed = run(transition(before, after), deadline);
  standing_ = after;
  return changed;
}

Failures Executor::lead_all(const state::Snapshot& before, const state::Snapshot& after, Deadline deadline) {
  if (lead_shortly(before, after, deadline)) return {};
  auto failures = run_all(transition(before, after), deadline);
  if (failures.empty()) standing_ = after;
  return failures;
}

std::optional<bool> Executor::lead_shortly(const state::Snapshot& before, const state::Snapshot& after,
                                           Deadline deadline) {
  const auto standing = std::exchange(standing_, std::nullopt);
  if (!standing || !standing->has_same_rules(before) || !backend_->is_as_left()) return std::nullopt;
  const auto steps = small_transition(before, after);
  if (!steps) return std::nullopt;
  try {
    const bool changed = run(*steps, deadline);
    standing_ = after;
    return changed;
  } catch (const Error& error) {
    log::debug("{}; running the full transition", error.what());
    return std::nullopt;
  }
}

bool Executor::run(const std::vector<Step>& steps, Deadline deadline) {
  bool changed = false;
  for (const auto& step : steps) {
    if (hook_) hook_(step);
    log::debug("{}", describe(step));
    try {
      if (std::visit([&](const auto& one) { return apply(one, deadline); }, step)) changed = true;
    } catch (const Error& error) {
      throw error.in_context(describe(step));
    }
  }
  return changed;
}

Failures Executor::run_all(const std::vector<Step>& steps, Deadline deadline) {
  Failures failures;
  bool keep_guard = false;
  bool guarded = true;
  for (const auto& step : steps) {
    const auto* const table = std::get_if<ApplyTable>(&step);
    const auto* const setting = std::get_if<SetRouteLocalnet>(&step);
    const bool of_guard = table != nullptr && table->plan.table != firewall::Table::nat;
    if (keep_guard && of_guard) continue;
    if (!guarded && setting != nullptr && setting->on) continue;
    try {
      run({step}, deadline);
    } catch (const std::exception& error) {
      failures.add(error.what());
      // While route_localnet is on, only the guard protects the local services from the containers.
      if (setting != nullptr) keep_guard = true;
      if (of_guard) guarded = false;
    }
  }
  return failures;
}

bool Executor::apply(const ApplyTable& step, Deadline deadline) {
  bool changed = backend_->apply(step.plan, deadline);
  if (step.plan.table == firewall::Table::filter && firewall::apply_managed_input(step.plan, deadline))
    changed = true;
  return changed;
}

bool Executor::apply(const ApplyBindings& step, Deadline deadline) {
  return backend_->binding(step.plan, deadline);
}

bool Executor::apply(const ChangeForwards& step, Deadline) {
  return backend_->change_forwards(step.from, step.to);
}

bool Executor::apply(const CutFlows& step, Deadline deadline) {
  // A packet that passed the nat table just before its forward closed gets a confirmed conntrack entry only
  // after INPUT. The pause is shorter than another walk of the table.
  bool changed = false;
  for (int look = 0; look < kLooks && !deadline.expired(); ++look) {
    std::this_thread::sleep_for(kUnderWay);
    const auto flows = flows_to_cut(netlink::conntrack_flows(), step);
    if (flows.empty()) break;
    for (const auto& flow : flows) {
      // Destroy the socket first: its RST needs the conntrack entry to be translated to the gateway's
      // address.
      if (flow.protocol == Protocol::tcp) netlink::destroy_tcp(flow.reply_source, flow.source);
      netlink::delete_flow(flow);
      changed = true;
    }
  }
  return changed;
}

bool Executor::apply(const SetRouteLocalnet& step, Deadline) {
  try {
    if (step.on) {
      const auto link = rtnl_.link(step.ifindex);
      if (!link) throw Error(Errc::not_found, fmt::format("bridge {} is gone", step.bridge));
      if (link->route_localnet) return false;
    }
    // The bridge can vanish at any moment, together with its setting, so switching off needs no check first.
    rtnl_.set_route_localnet(step.ifindex, step.on);
  } catch (const Error& error) {
    if (step.held && error.code() == Errc::not_found) return false;
    throw;
  }
  return true;
}

}  // namespace hostnet::exposer
