// Chooses a path and makes its exposer.
#include "path/select.hpp"

#include "core/log.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"
#include "lease/notifier.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <utility>

namespace hostnet {
namespace exposer {
namespace {

// The usable paths, in order. If one does not work for the target or is not authorised, the next one is
// tried.
class Automatic : public Exposer {
 public:
  struct Way {
    const PathDriver* driver;
    std::unique_ptr<Exposer> exposer;
  };

  /// `ways` is not empty. `why_not` holds the reasons against the paths before the first of them.
  Automatic(std::vector<Way> ways, std::string why_not)
      : ways_(std::move(ways)), why_not_(std::move(why_not)) {}

  [[nodiscard]] Path path() const noexcept override { return ways_.front().driver->path; }
  [[nodiscard]] Probe probe() override { return ways_.front().exposer->probe(); }

  std::vector<Exposure> expose_all(std::span<const ExposeRequest> requests) override {
    auto why = why_not_;
    std::optional<Error> last;  // of the path before
    for (auto way = ways_.begin(); way != ways_.end();) {
      if (const auto* const refused = unserved(*way->driver, requests))
        throw Error(
            Errc::no_path,
            fmt::format("no usable path: {}; {}: it serves {} of an engine, not {}", why, way->driver->name,
                        way->driver->serves_networks ? "containers and networks" : "single containers",
                        refused->target.to_string()),
            "run it as root: sudo tc-hostnet …");
      // A sidecar is slower, so warn of it even if no other path was tried.
      const auto bit = 1U << (way - ways_.begin());
      if ((way != ways_.begin() || way->driver->by_sidecar) && !why.empty() &&
          (warned_.fetch_or(bit) & bit) == 0)
        log::warn("{}; going by {} instead", why, way->driver->name);
      const auto next = std::next(way);
      try {
        return way->exposer->expose_all(requests);
      } catch (const Error& error) {
        if (!way->driver->leaves_to_another(error.code())) throw;
        if (next == ways_.end() || unserved(*next->driver, requests) != nullptr) {
          if (!last || way->driver->serves_networks) throw;
          // A path for single containers is a last resort: why the one before does not serve is the better
          // advice.
          throw Error(last->code(), fmt::format("{}; {}: {}", last->what(), way->driver->name, error.what()),
                      last->hint(), last->sys_errno());
        }
        why = fmt::format("{}: {}", way->driver->name, error.what());
        last = error;
      }
      way = next;
    }
    throw std::logic_error("no way");
  }

 private:
  static const ExposeRequest* unserved(const PathDriver& driver, std::span<const ExposeRequest> requests) {
    const auto found = std::ranges::find_if(
        requests, [&](const ExposeRequest& request) { return !may_serve(driver, request.target); });
    return found == requests.end() ? nullptr : &*found;
  }

  std::vector<Way> ways_;
  std::string why_not_;
  std::atomic<unsigned> warned_ = 0;  // bits: the ways that a warning has named
};

void add_reasons(std::vector<std::string>& list, const PathDriver& driver, const Probe& probe) {
  for (const auto& reason : probe.reasons) list.push_back(fmt::format("{}: {}", driver.name, reason));
}

const PathDriver* first_for(PathTable table, const Target& target) {
  const auto found = std::ranges::find_if(table, [&](const auto* one) { return may_serve(*one, target); });
  return found == table.end() ? nullptr : *found;
}

[[noreturn]] void refuse_all(const PathDriver* wanted, const Choice& choice) {
  throw Error(wanted != nullptr ? wanted->unusable : Errc::no_path,
              fmt::format("no usable path: {}", list_of(choice.reasons)),
              wanted != nullptr ? wanted->hint : "run it as root: sudo tc-hostnet …");
}

}  // namespace

Choice choose(const PathDriver* wanted, const std::vector<Candidate>& candidates) {
  Choice choice;
  for (const auto& [driver, probe] : candidates) {
    if (wanted != nullptr && driver != wanted) continue;
    add_reasons(choice.reasons, *driver, probe);
    if (!probe.usable) continue;
    choice.driver = driver;
    choice.reasons.push_back(fmt::format(
        "{}: {}", driver->name, wanted == nullptr ? "the first that is usable here" : "as asked for"));
    break;
  }
  return choice;
}

std::vector<Candidate> probe_paths(PathTable table, const std::string& engine, const PathDriver* wanted) {
  std::vector<Candidate> candidates;
  for (const auto* const driver : table) {
    if (driver->probed_late && wanted != driver &&
        std::ranges::any_of(candidates, [](const Candidate& one) { return one.probe.usable; }))
      continue;
    candidates.push_back({driver, driver->probe(engine)});
  }
  return candidates;
}

std::unique_ptr<Exposer> make_exposer_by(PathTable table, const PathDriver* wanted, ExposerOptions options) {
  const auto candidates = probe_paths(table, options.engine, wanted);
  const auto choice = choose(wanted, candidates);
  if (choice.driver == nullptr) refuse_all(wanted, choice);
  if (wanted != nullptr) return wanted->make(options);
  std::vector<const PathDriver*> usable;
  std::vector<std::string> against;
  for (const auto& [driver, probe] : candidates) {
    if (probe.usable) usable.push_back(driver);
    if (usable.empty()) add_reasons(against, *driver, probe);
  }
  if (usable.size() == 1 && (against.empty() || !usable.front()->by_sidecar))
    return usable.front()->make(options);
  // One callback at a time, for the leases of all paths together.
  if (options.on_state) {
    options.on_state = [notifier = std::make_shared<Notifier>(options.on_state)](
                           const std::string& lease, ExposureState state, const std::string& reason) {
      notifier->tell(lease, state, reason);
    };
  }
  std::vector<Automatic::Way> ways;
  for (const auto* const driver : usable) ways.push_back({driver, driver->make(options)});
  return std::make_unique<Automatic>(std::move(ways), list_of(against));
}

std::vector<const PathDriver*> paths_to_try(PathTable table, const PathDriver* wanted,
                                            const ExposerOptions& options) {
  const auto candidates = probe_paths(table, options.engine, wanted);
  std::vector<const PathDriver*> usable;
  for (const auto& [driver, probe] : candidates)
    if (probe.usable && (wanted == nullptr || wanted == driver)) usable.push_back(driver);
  if (usable.empty()) refuse_all(wanted, choose(wanted, candidates));
  return usable;
}

namespace {

DryRun dry_run_by(PathTable table, const PathDriver* driver, const ExposeRequest& request,
                  const ExposerOptions& options) {
  if (driver->rules_of != nullptr) {
    const auto* const maker = find_path(table, driver->rules_of);
    if (maker == nullptr)
      throw Error(Errc::no_path, fmt::format("{}: path {} is not here", driver->name, driver->rules_of));
    driver = maker;
  }
  return driver->dry_run(request, options);
}

}  // namespace

DryRun dry_run(PathTable table, const PathDriver* wanted, const ExposeRequest& request,
               const ExposerOptions& options) {
  std::vector<const PathDriver*> drivers;
  if (wanted != nullptr) {
    drivers.push_back(wanted);
  } else {
    for (const auto& [driver, probe] : probe_paths(table, options.engine))
      if (probe.usable && may_serve(*driver, request.target)) drivers.push_back(driver);
    if (drivers.empty())
      if (const auto* const first = first_for(table, request.target)) drivers.push_back(first);
  }
  if (drivers.empty())
    throw Error(Errc::no_path, fmt::format("no path serves {}", request.target.to_string()));
  for (auto driver = drivers.begin();; ++driver) {
    try {
      return dry_run_by(table, *driver, request, options);
    } catch (const Error& error) {
      if (std::next(driver) == drivers.end() || !(*driver)->leaves_to_another(error.code())) throw;
      log::warn("{}: {}; going by {} instead", (*driver)->name, error.what(), (*std::next(driver))->name);
    }
  }
}

}  // namespace exposer

std::unique_ptr<Exposer> make_exposer(ExposerOptions options) {
  const auto* const wanted = exposer::driver_of(options.path);
  return exposer::make_exposer_by(exposer::paths(), wanted, std::move(options));
}

}  // namespace hostnet
