// Reads the leases of this host and compares them with the kernel.
#include "cli/held.hpp"

#include "cli/output.hpp"
#include "core/nearest.hpp"
#include "core/strings.hpp"
#include "firewall/backend.hpp"
#include "hostnet/error.hpp"
#include "lease/private_folder.hpp"
#include "netlink/link.hpp"
#include "path/native/names.hpp"
#include "path/native/transition.hpp"

#include <fmt/format.h>

namespace hostnet::cli {

Deadline command_deadline() { return Deadline::after(std::chrono::seconds{30}); }

exposer::LeaseStore open_store(const Globals& globals) {
  return exposer::LeaseStore(state::runtime_dir(globals.runtime_dir));
}

state::Snapshot look(exposer::LeaseStore& store, const Globals& globals) {
  if (!state::has_journal_folder(store.folder())) return {};
  if (globals.dry_run) return store.look();
  state::Snapshot held;
  {
    auto transaction = store.begin(command_deadline());
    transaction.reap();
    transaction.tidy();
    held = transaction.held();
  }
  exposer::finish_names(store, exposer::name_budget(command_deadline()));
  return held;
}

std::optional<state::Snapshot> look_if_readable(exposer::LeaseStore& store, const Globals& globals) {
  try {
    return look(store, globals);
  } catch (const Error& error) {
    if (!only_hides_roots(error, store.folder())) throw;
    return std::nullopt;
  }
}

bool only_hides_roots(const Error& error, const std::filesystem::path& folder) {
  return error.code() == Errc::not_authorised && state::is_roots(folder);
}

void say_hidden(const char* command) {
  say(fmt::format("root's leases are not among these, as only root can read them; sudo tc-hostnet {}",
                  command));
}

std::vector<std::string> deviations(const state::Snapshot& held) {
  std::vector<std::string> out;
  if (held.bridges.empty()) return out;
  netlink::Rtnl rtnl;
  const auto backend = firewall::make_backend(held.firewall);
  auto now = held;
  for (auto& bridge : now.bridges) {
    const auto link = rtnl.link(bridge.ifindex);
    if (!link) {
      out.push_back(fmt::format("bridge {} is gone", bridge.name));
      continue;
    }
    bridge.name = link->name;  // rules follow a renamed bridge
    if (!link->route_localnet) out.push_back(fmt::format("route_localnet is off on {}", bridge.name));
  }
  for (const auto& plan : exposer::ruleset_of(now).tables)
    if (!backend->matches(plan))
      out.push_back(fmt::format("{}: the {} rules differ from the expected ones", to_string(held.firewall),
                                to_string(plan.table)));
  if (!backend->is_pinned(exposer::bindings_of(now)))
    out.emplace_back("the anti-spoofing bindings differ from the expected ones");
  return out;
}

void throw_not_ours(const std::string& id, const char* command) {
  throw Error(Errc::not_authorised,
              fmt::format("there is no lease {} of yours, and only root can read root's", quote(id)),
              fmt::format("sudo tc-hostnet {} {}", command, shell_word(id)));
}

void throw_ambiguous(const std::string& id) {
  throw Error(Errc::invalid_argument, fmt::format("{} is a prefix of more than one lease id", quote(id)),
              "see them: tc-hostnet list");
}

Error no_such_lease(const std::string& id, const std::vector<std::string>& ids) {
  return no_such("lease", id, ids, "see them: tc-hostnet list");
}

const state::Lease& find_lease(const state::Snapshot& snapshot, const std::string& id,
                               const std::vector<std::string>& others) {
  const auto* const found = find_by_id(snapshot.leases, id);
  if (found != nullptr) return *found;
  auto ids = others;
  for (const auto& lease : snapshot.leases) ids.push_back(lease.id);
  throw no_such_lease(id, ids);
}

}  // namespace hostnet::cli
