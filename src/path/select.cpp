// Chooses a path and makes its exposer.
#include "path/select.hpp"

#include "core/log.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"
#include "lease/notifier.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <utility>

namespace hostnet {
namespace exposer {
namespace {

// Why a path cannot have such a target at all.
std::string kind_reason(const PathDriver& driver, const Target& target) {
  return fmt::format("{}: it serves {} of an engine, not {}", driver.name,
                     driver.serves_networks ? "containers and networks" : "single containers",
                     target.to_string());
}

constexpr const char* kAsRootHint = "run it as root: sudo tc-hostnet …";

void check_ports_for_choice(PathTable table, std::span<const ExposeRequest> requests) {
  for (const auto& request : requests)
    for (const auto& port : request.ports)
      if (const auto fault = port_fault_of(table, port, request.target); !fault.empty())
        throw Error(Errc::invalid_argument, fmt::format("{}: {}", port.to_string(), fault),
                    "choose another container port (HOST:CONTAINER), or name the path: --via native");
}

[[noreturn]] void refuse_all(const PathOrder& wanted, const std::vector<std::string>& reasons) {
  throw Error(wanted.size() == 1 ? wanted.front()->unusable : Errc::no_path,
              fmt::format("no usable path: {}", list_of(reasons)),
              wanted.empty() ? kAsRootHint : wanted.front()->hint);
}

// The usable paths, in order. If one does not work for the target or is not authorised, the next one is
// tried.
class InOrder : public Exposer {
 public:
  struct Way {
    const PathDriver* driver;
    std::unique_ptr<Exposer> exposer;
  };

  /// `ways` is not empty. `against` holds the reasons against the paths before the first of them.
  InOrder(PathTable table, PathOrder wanted, std::vector<Way> ways, std::vector<std::string> against)
      : table_(table), wanted_(std::move(wanted)), ways_(std::move(ways)), against_(std::move(against)) {}

  [[nodiscard]] Path path() const noexcept override { return ways_.front().driver->path; }
  [[nodiscard]] Probe probe() override { return ways_.front().exposer->probe(); }

  std::vector<Exposure> expose_all(std::span<const ExposeRequest> requests) override {
    if (wanted_.empty()) check_ports_for_choice(table_, requests);
    auto against = against_;
    std::vector<Failed> failed;
    for (const auto& way : ways_) {
      if (const auto* const refused = unserved(*way.driver, requests)) {
        against.push_back(kind_reason(*way.driver, refused->target));
        continue;
      }
      // A sidecar is slower, so warn of it even if no other path was tried.
      const bool is_first = &way == &ways_.front();
      if ((!is_first || way.driver->by_sidecar) && !against.empty())
        tell_instead(against, !is_first, *way.driver);
      try {
        return way.exposer->expose_all(requests);
      } catch (const Error& error) {
        if (!way.driver->leaves_to_another(error)) throw;
        against.push_back(fmt::format("{}: {}", way.driver->name, error.what()));
        failed.push_back({way.driver, error});
      }
    }
    if (!failed.empty()) throw error_of(failed, against);
    throw Error(Errc::no_path, fmt::format("no usable path: {}", list_of(against)),
                wanted_.empty() ? kAsRootHint : "leave the choice to tc-hostnet: --via auto");
  }

 private:
  struct Failed {
    const PathDriver* driver;
    Error error;
  };

  static const ExposeRequest* unserved(const PathDriver& driver, std::span<const ExposeRequest> requests) {
    const auto found = std::ranges::find_if(
        requests, [&](const ExposeRequest& request) { return !may_serve(driver, request.target); });
    return found == requests.end() ? nullptr : &*found;
  }

  // With a user's order, all reasons and the advice of the path that the user prefers. By itself, the last
  // path is the one that needs least; if that is the last resort, which needs not even a network, the advice
  // of the one before it is better.
  [[nodiscard]] Error error_of(const std::vector<Failed>& failed,
                               const std::vector<std::string>& against) const {
    const auto& last = failed.back();
    if (failed.size() == 1) return last.error;
    if (!wanted_.empty()) {
      const auto& first = failed.front().error;
      return {first.code(), fmt::format("no usable path: {}", list_of(against)), first.hint(),
              first.sys_errno()};
    }
    if (!last.driver->needs_no_network) return last.error;
    const auto& before = failed[failed.size() - 2].error;
    return {before.code(), fmt::format("{}; {}: {}", before.what(), last.driver->name, last.error.what()),
            before.hint(), before.sys_errno()};
  }

  PathTable table_;
  PathOrder wanted_;
  std::vector<Way> ways_;
  std::vector<std::string> against_;
};

void add_reasons(std::vector<std::string>& list, const PathDriver& driver, const Probe& probe) {
  for (const auto& reason : probe.reasons) list.push_back(fmt::format("{}: {}", driver.name, reason));
}

const PathDriver* first_for(PathTable table, const Target& target) {
  const auto found = std::ranges::find_if(table, [&](const auto* one) { return may_serve(*one, target); });
  return found == table.end() ? nullptr : *found;
}

// The beginning of a reason: an engine's names may make it long.
std::string short_reason(std::string_view reason) {
  constexpr std::size_t longest = 160;
  const auto shown = beginning(reason, longest);
  return fmt::format("{}{}", shown, shown.size() < reason.size() ? "…" : "");
}

bool is_told_first(const std::string& line) {
  constexpr std::size_t most = 100;
  static std::mutex mutex;
  static std::set<std::string> told;
  const std::scoped_lock lock(mutex);
  if (told.size() >= most) told.clear();
  return told.insert(line).second;
}

}  // namespace

void tell_instead(const std::vector<std::string>& against, bool of_target, const PathDriver& next) {
  const auto line = fmt::format("{}; going by {} instead",
                                short_reason(of_target ? against.back() : against.front()), next.name);
  log::write(is_told_first(line) ? LogLevel::warning : LogLevel::debug, line);
  for (const auto& reason : against) log::debug("{}", reason);
}

Choice choose(const PathOrder& wanted, const std::vector<Candidate>& candidates) {
  Choice choice;
  for (const auto& [driver, probe] : candidates) {
    if (!wanted.empty() && std::ranges::find(wanted, driver) == wanted.end()) continue;
    add_reasons(choice.reasons, *driver, probe);
    if (!probe.usable) continue;
    choice.driver = driver;
    choice.reasons.push_back(fmt::format(
        "{}: {}", driver->name,
        !wanted.empty() && driver == wanted.front() ? "as asked for" : "the first that is usable here"));
    break;
  }
  return choice;
}

std::vector<Candidate> probe_paths(PathTable table, const std::string& engine, const PathOrder& wanted) {
  std::vector<Candidate> candidates;
  const auto has = [&](const PathDriver& late, const Candidate& one) {
    return one.probe.usable && (wanted.empty() || (late.rules_of != nullptr &&
                                                   one.driver->name == std::string_view(late.rules_of)));
  };
  for (const auto* const driver : wanted.empty() ? table : PathTable(wanted)) {
    if (driver->probed_late &&
        std::ranges::any_of(candidates, [&](const Candidate& one) { return has(*driver, one); }))
      continue;
    candidates.push_back({driver, driver->probe(engine)});
  }
  return candidates;
}

std::unique_ptr<Exposer> make_exposer_by(PathTable table, const PathOrder& wanted, ExposerOptions options) {
  const auto candidates = probe_paths(table, options.engine, wanted);
  const auto choice = choose(wanted, candidates);
  if (choice.driver == nullptr) refuse_all(wanted, choice.reasons);
  if (wanted.size() == 1) return wanted.front()->make(options);
  PathOrder usable;
  std::vector<std::string> against;
  for (const auto& [driver, probe] : candidates) {
    if (probe.usable) usable.push_back(driver);
    if (usable.empty()) add_reasons(against, *driver, probe);
  }
  // One callback at a time, for the leases of all paths together.
  if (options.on_state) {
    options.on_state = [notifier = std::make_shared<Notifier>(options.on_state)](
                           const std::string& lease, ExposureState state, const std::string& reason) {
      notifier->tell(lease, state, reason);
    };
  }
  std::vector<InOrder::Way> ways;
  for (const auto* const driver : usable) ways.push_back({driver, driver->make(options)});
  return std::make_unique<InOrder>(table, wanted, std::move(ways), std::move(against));
}

PathOrder paths_to_try(PathTable table, const PathOrder& wanted, const ExposerOptions& options) {
  const auto candidates = probe_paths(table, options.engine, wanted);
  PathOrder usable;
  for (const auto& [driver, probe] : candidates)
    if (probe.usable) usable.push_back(driver);
  if (usable.empty()) refuse_all(wanted, choose(wanted, candidates).reasons);
  return usable;
}

namespace {

DryRun dry_run_by(PathTable table, const PathDriver* driver, const ExposeRequest& request,
                  const ExposerOptions& options) {
  const char* const via = driver->name;
  if (driver->rules_of != nullptr) {
    const auto* const maker = find_path(table, driver->rules_of);
    if (maker == nullptr)
      throw Error(Errc::no_path, fmt::format("{}: path {} is not here", driver->name, driver->rules_of));
    driver = maker;
  }
  auto plan = driver->dry_run(request, options);
  plan.object["via"] = via;
  return plan;
}

}  // namespace

DryRun dry_run(PathTable table, const PathOrder& wanted, const ExposeRequest& request,
               const ExposerOptions& options) {
  PathOrder drivers;
  if (wanted.empty()) check_ports_for_choice(table, {&request, 1});
  if (wanted.size() == 1) {
    drivers = wanted;
  } else {
    for (const auto& [driver, probe] : probe_paths(table, options.engine, wanted))
      if (probe.usable && may_serve(*driver, request.target)) drivers.push_back(driver);
    if (drivers.empty())
      if (const auto* const first = first_for(wanted.empty() ? table : PathTable(wanted), request.target))
        drivers.push_back(first);
  }
  if (drivers.empty())
    throw Error(Errc::no_path, fmt::format("no path serves {}", request.target.to_string()));
  for (auto driver = drivers.begin();; ++driver) {
    try {
      return dry_run_by(table, *driver, request, options);
    } catch (const Error& error) {
      if (std::next(driver) == drivers.end() || !(*driver)->leaves_to_another(error)) throw;
      tell_instead({fmt::format("{}: {}", (*driver)->name, error.what())}, true, **std::next(driver));
    }
  }
}

}  // namespace exposer

std::unique_ptr<Exposer> make_exposer(ExposerOptions options) {
  const auto wanted = exposer::order_of(options);
  return exposer::make_exposer_by(exposer::paths(), wanted, std::move(options));
}

}  // namespace hostnet
