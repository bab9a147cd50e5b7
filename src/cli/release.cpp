// `tc-hostnet release`: ends leases of any owner and removes everything that belongs to them.
#include "cli/command.hpp"
#include "cli/held.hpp"
#include "cli/helper_view.hpp"
#include "cli/output.hpp"
#include "cli/record_view.hpp"
#include "core/failures.hpp"
#include "core/log.hpp"
#include "engine/images.hpp"
#include "firewall/backend.hpp"
#include "hostnet/error.hpp"
#include "path/native/names.hpp"
#include "path/paths.hpp"
#include "path/relay/handoff.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>

namespace hostnet::cli {
namespace {

struct ReleaseOptions {
  std::vector<std::string> leases;
  bool all = false;
  bool images = false;
  // Ids of leases that were not named, for the message of an unknown one.
  std::vector<std::string> others = {};
  // The beginning of an id → the lease whose follower was told to end it.
  std::map<std::string, std::string> told = {};
  // What kept a lease from being released.
  Failures failures = {};
};

// What --dry-run prints.
struct ReleasePlan {
  std::vector<std::string> leases;
  std::vector<std::string> steps;
};

// For an unreadable journal: no lease is known, so this removes everything of tc-hostnet from the kernel.
void rescue(exposer::LeaseStore& store, const Error& cause) {
  log::warn("{}; removing every rule of tc-hostnet instead", cause.what());
  const auto bridges = store.rescue(command_deadline());
  for (const auto& bridge : bridges)
    say(fmt::format("{}: route_localnet set to 0, the kernel's default; its previous value is unknown",
                    bridge));
}

std::set<std::string> chosen(const ReleaseOptions& options, const state::Snapshot& held) {
  std::set<std::string> ids;
  if (options.all)
    for (const auto& lease : held.leases) ids.insert(lease.id);
  else
    for (const auto& id : options.leases) {
      const auto* const found = find_by_id(held.leases, id);
      if (found == nullptr && options.told.contains(id)) continue;  // its target went at this moment
      ids.insert(found != nullptr ? found->id : find_lease(held, id, options.others).id);
    }
  return ids;
}

void report(const std::string& id, const Globals& globals) {
  if (globals.json) {
    print_json({{"event", "released"}, {"lease", id}});
  } else {
    print(id);
  }
}

// First: a lease whose target goes at this moment is in no list.
void tell_followers(const state::TunnelStore& store, ReleaseOptions& options) {
  try {
    if (options.all) exposer::end_followers(store, "");
    for (const auto& id : options.leases) {
      if (id.empty()) continue;
      for (const auto& lease : exposer::end_followers(store, id)) options.told[id] = lease;
    }
  } catch (const Error& error) {
    if (!only_hides_roots(error, store.folder())) throw;  // else it has no record of this user
  }
}

// Of those that were revoked before and whose owners have not ended them, the ones that are named.
void add_revoked(const state::TunnelStore& store, const std::vector<std::string>& named,
                 RecordedLeases& leases) {
  try {
    for (auto& lease : exposer::recorded_leases(exposer::paths(), store.load_revoked())) {
      const bool is_named = std::ranges::any_of(
          named, [&](const std::string& id) { return !id.empty() && lease.record.id.starts_with(id); });
      if (is_named) leases.push_back(std::move(lease));
    }
  } catch (const Error& error) {
    if (!only_hides_roots(error, store.folder())) throw;  // else it has no record of this user
  }
}

// Releases the leases that have a record. Ids of other leases stay in `options`.
void release_recorded(ReleaseOptions& options, const Globals& globals, ReleasePlan& plan) {
  const state::TunnelStore store(globals.runtime_dir);
  if (!globals.dry_run) tell_followers(store, options);
  auto leases = look_at_records(store, globals);
  if (!globals.dry_run) add_revoked(store, options.leases, leases);
  std::set<std::string> ids;
  if (options.all)
    for (const auto& lease : leases) ids.insert(lease.record.id);
  std::erase_if(options.leases, [&](const auto& id) {
    const auto* const found = find_by_id(leases, id, RecordId{});
    if (found != nullptr) ids.insert(found->record.id);
    return found != nullptr;
  });
  for (const auto& [driver, record] : leases) {
    if (!ids.contains(record.id)) {
      options.others.push_back(record.id);
    } else if (globals.dry_run) {
      const auto view = exposer::describe({driver, record});
      plan.leases.push_back(record.id);
      plan.steps.push_back(fmt::format("remove {} {} of lease {}", view.kind, view.id, record.id));
    } else {
      store.revoke(record.id);  // first: tells the owner that the lease was released, not lost
    }
  }
  if (globals.dry_run || ids.empty()) return;
  std::erase_if(leases, [&](const auto& lease) { return !ids.contains(lease.record.id); });
  const auto open = exposer::await_owners(store, leases);
  for (const auto& [driver, record] : leases) {
    try {
      // An owner that closes its ports has removed the rest, too.
      if (!driver->owner_closes || store.is_revoked(record.id))
        driver->clear_away(store, record, command_deadline());
      if (open.contains(record.id) && store.is_revoked(record.id))
        throw Error(
            Errc::failure,
            fmt::format("lease {}: its owner, process {}, has not ended it yet, and its ports may be open; "
                        "end that process",
                        record.id, record.owner.pid));
      report(record.id, globals);
    } catch (const Error& error) {
      options.failures.add(error.what());
      if (!store.is_alive(record)) store.remove(record.id);  // released, as asked: no later command needs it
    }
  }
  // An owner that ended in the meantime found something of ours in the folder.
  store.tidy();
}

// Releases leases that the helper holds: with --all those of this user, by id those of any user. Ids of other
// leases stay in `options`.
void release_helped(ReleaseOptions& options, const Globals& globals, ReleasePlan& plan) {
  const auto leases = look_at_helper();
  std::set<std::string> paths;
  for (const auto& lease : leases)
    if (options.all && lease.uid == ::geteuid()) paths.insert(lease.path);
  std::erase_if(options.leases, [&](const auto& id) {
    const auto* const found = find_by_id(leases, id);
    if (found != nullptr) paths.insert(found->path);
    return found != nullptr;
  });
  for (const auto& lease : leases) {
    if (!paths.contains(lease.path)) {
      options.others.push_back(lease.id);
      continue;
    }
    if (globals.dry_run) {
      plan.leases.push_back(lease.id);
      plan.steps.push_back(fmt::format("release lease {} through the helper", lease.id));
      continue;
    }
    dbus::Client().release(lease.path, !globals.no_ask_password, command_deadline());
    report(lease.id, globals);
  }
}

// Rules of tc-hostnet that no lease needs, such as rules that an administrator saved during a lease and
// restored after it.
exposer::Leftovers look_for_leftovers(exposer::LeaseStore& store, const state::Snapshot& held) {
  try {
    return store.leftovers(held);
  } catch (const Error& error) {
    if (error.code() != Errc::not_authorised) throw;
    return {};
  }
}

void warn_of(const std::vector<std::string>& needed) {
  for (const auto& bridge : needed)
    log::warn(
        "{0} has route_localnet on and a guard of tc-hostnet but no known lease; the guard stays; see: "
        "tc-hostnet doctor --bridge {0}",
        bridge);
}

// What the sweep after the release of all leases would do.
void foretell_sweep(exposer::LeaseStore& store, const state::Snapshot& held, ReleasePlan& plan) {
  const auto left = look_for_leftovers(store, held);
  warn_of(left.needed);
  if (!left.needed.empty()) return;
  for (const auto& bridge : left.idle)
    plan.steps.push_back(fmt::format("remove the guard of {}, which no lease needs", bridge));
}

// The steps that would release the chosen leases.
void foretell(exposer::LeaseStore& store, const ReleaseOptions& options, const state::Snapshot& held,
              ReleasePlan& plan) {
  state::Snapshot after = held;
  const auto ids = chosen(options, held);
  plan.leases.insert(plan.leases.end(), ids.begin(), ids.end());
  after.leases.erase_if([&ids](const auto& lease) { return ids.contains(lease.id); });
  after.drop_idle_bridges();
  if (!held.leases.empty())
    for (const auto& step : exposer::transition(held, after)) plan.steps.push_back(exposer::describe(step));
  if (options.all) foretell_sweep(store, held, plan);
}

void release_native(const ReleaseOptions& options, const Globals& globals, ReleasePlan& plan) {
  auto store = open_store(globals);
  const bool no_journal = !state::has_journal_folder(store.folder());
  if (globals.dry_run) return foretell(store, options, no_journal ? state::Snapshot{} : store.look(), plan);
  if (options.all && no_journal && look_for_leftovers(store, {}).empty()) return;

  const auto deadline = command_deadline();
  std::set<std::string> ids;
  try {
    auto transaction = store.begin(deadline);
    transaction.reap();
    ids = chosen(options, transaction.held());
    transaction.remove(ids);
    if (options.all && transaction.held().leases.empty()) warn_of(transaction.sweep());
    transaction.tidy();
  } catch (const Error& error) {
    if (error.code() != Errc::state_corrupt || !options.all) throw;
    return rescue(store, error);
  }
  exposer::finish_names(store, exposer::name_budget(deadline));
  for (const auto& id : options.leases)
    if (const auto told = options.told.find(id); told != options.told.end()) ids.insert(told->second);
  for (const auto& id : ids) report(id, globals);
}

// The images that the relay path's hand-off has loaded, at the engine of this command.
void remove_images(const Globals& globals, ReleasePlan& plan) {
  engine::Client client(engine::Address::find(globals.engine));
  const auto deadline = command_deadline();
  for (const auto& tag : relay::handoff_image_tags(client, deadline)) {
    if (globals.dry_run) {
      plan.steps.push_back(fmt::format("remove image {}, unless a container uses it", tag));
    } else if (!engine::Images(client).untag(tag, deadline)) {
      log::warn("image {} stays: a container uses it", tag);
    } else if (globals.json) {
      print_json({{"event", "removed"}, {"image", tag}});
    } else {
      print(tag);
    }
  }
}

void print_plan(const ReleasePlan& plan, const Globals& globals) {
  if (globals.json) return print_json({{"leases", plan.leases}, {"steps", plan.steps}});
  for (const auto& step : plan.steps) print(step);
}

int release(ReleaseOptions options, const Globals& globals) {
  if (options.images && !options.all)
    throw Error(Errc::invalid_argument, "--images is given without --all",
                "tc-hostnet release --all --images");
  if (options.all != options.leases.empty())
    throw Error(Errc::invalid_argument, options.all ? "both leases and --all are given" : "no lease is given",
                "tc-hostnet release LEASE… or tc-hostnet release --all");
  ReleasePlan plan;
  release_recorded(options, globals, plan);
  release_helped(options, globals, plan);
  const bool any_native = options.all || !options.leases.empty();
  try {
    if (any_native) release_native(options, globals, plan);
  } catch (const Error& error) {
    const auto folder = state::namespace_dir(state::runtime_dir(globals.runtime_dir));
    if (!only_hides_roots(error, folder)) throw;
    if (!options.all) throw_not_ours(options.leases.front(), "release");
    say_hidden("release --all");  // all that are this user's are released
  }
  if (options.images) remove_images(globals, plan);
  if (globals.dry_run) print_plan(plan, globals);
  options.failures.raise();
  return 0;
}

}  // namespace

Action define_release(Arguments& arguments) {
  const auto options = std::make_shared<ReleaseOptions>();
  arguments.values("LEASE", options->leases, "ids, as list shows them");
  arguments.flag(
      "--all", options->all,
      "every lease of this network namespace and of this user, and leftovers of an unreadable journal "
      "or of restored rules");
  arguments.flag("--images", options->images,
                 "with --all: also the images of the relay path, unless a container uses them");
  arguments.example("sudo tc-hostnet release 1a2b3c4d");
  arguments.example("sudo tc-hostnet release --all");
  return [options](const Globals& globals) { return release(*options, globals); };
}

}  // namespace hostnet::cli
