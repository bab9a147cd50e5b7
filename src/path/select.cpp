// Choosing a path, and making its exposer.
#include "path/select.hpp"

#include "core/log.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"
#include "lease/notifier.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace hostnet {
namespace exposer {
namespace {

// The paths that are usable here, in order. Where one turns out not to work for the target or not to be
// allowed, the next that may serve it is tried.
class Automatic : public Exposer {
 public:
  struct Way {
    const PathDriver* driver;
    std::unique_ptr<Exposer> exposer;
  };

  /// `ways` is not empty. `why_not` is what speaks against the paths before the first of them.
  Automatic(std::vector<Way> ways, std::string why_not)
      : ways_(std::move(ways)), why_not_(std::move(why_not)) {}

  [[nodiscard]] Path path() const noexcept override { return ways_.front().driver->path; }
  [[nodiscard]] Probe probe() override { return ways_.front().exposer->probe(); }

  std::vector<Exposure> expose_all(std::span<const ExposeRequest> requests) override {
    auto why = why_not_;
    for (auto way = ways_.begin(); way != ways_.end();) {
      if (const auto* const refused = unserved(*way->driver, requests))
        throw Error(
            Errc::no_path,
            fmt::format("no usable path: {}; {}: it serves containers and networks of an engine, not {}", why,
                        way->driver->name, refused->target.to_string()),
            "run it as root: sudo tc-hostnet …");
      // That it goes by a sidecar is worth telling also where nothing was tried before: it is slower.
      if ((way != ways_.begin() || way->driver->by_sidecar) && !why.empty() && !warned_.exchange(true))
        log::warn("{}; going by {} instead", why, way->driver->name);
      const auto next = std::next(way);
      try {
        return way->exposer->expose_all(requests);
      } catch (const Error& error) {
        if (next == ways_.end() || !way->driver->leaves_to_another(error.code()) ||
            unserved(*next->driver, requests) != nullptr)
          throw;
        why = fmt::format("{}: {}", way->driver->name, error.what());
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
  std::atomic<bool> warned_ = false;
};

}  // namespace

Choice choose(Path wanted, const std::vector<Candidate>& candidates) {
  Choice choice;
  for (const auto& [path, probe] : candidates) {
    if (wanted != Path::automatic && path != wanted) continue;
    for (const auto& reason : probe.reasons)
      choice.reasons.push_back(fmt::format("{}: {}", to_string(path), reason));
    if (!probe.usable) continue;
    choice.path = path;
    choice.reasons.push_back(
        fmt::format("{}: {}", to_string(path),
                    wanted == Path::automatic ? "the first that is usable here" : "as asked for"));
    break;
  }
  return choice;
}

std::vector<Candidate> probe_paths(const std::string& engine, Path wanted) {
  std::vector<Candidate> candidates;
  for (const auto* const driver : paths()) {
    if (driver->probed_late && wanted != driver->path &&
        std::ranges::any_of(candidates, [](const Candidate& one) { return one.probe.usable; }))
      continue;
    candidates.push_back({driver->path, driver->probe(engine)});
  }
  return candidates;
}

std::vector<Path> paths_to_try(const ExposerOptions& options) {
  std::vector<Path> usable;
  for (const auto& [path, probe] : probe_paths(options.engine, options.path))
    if (probe.usable && (options.path == Path::automatic || options.path == path)) usable.push_back(path);
  if (usable.empty()) {
    make_exposer(options);  // says why
    throw Error(Errc::no_path, "no usable path");
  }
  return usable;
}

std::unique_ptr<AheadLease> lease_ahead(Path path, const ExposerOptions& options, const AheadRequest& request,
                                        Deadline deadline) {
  const auto* const driver = driver_of(path);
  if (driver == nullptr) throw std::logic_error("a lease ahead goes by one path");
  auto by_path = options;
  by_path.path = path;
  return driver->ahead(by_path, request, deadline);
}

}  // namespace exposer

std::unique_ptr<Exposer> make_exposer(ExposerOptions options) {
  const auto candidates = exposer::probe_paths(options.engine, options.path);
  const auto choice = exposer::choose(options.path, candidates);
  if (!choice.path) {
    const auto* const wanted = exposer::driver_of(options.path);
    throw Error(wanted != nullptr ? wanted->unusable : Errc::no_path,
                fmt::format("no usable path: {}", list_of(choice.reasons)),
                wanted != nullptr ? wanted->hint : "run it as root: sudo tc-hostnet …");
  }
  if (options.path != Path::automatic) return exposer::driver_of(*choice.path)->make(options);
  std::vector<const exposer::PathDriver*> usable;
  std::vector<std::string> against;
  for (const auto& [path, probe] : candidates) {
    if (probe.usable) usable.push_back(exposer::driver_of(path));
    if (usable.empty())
      for (const auto& reason : probe.reasons)
        against.push_back(fmt::format("{}: {}", to_string(path), reason));
  }
  if (usable.size() == 1 && (against.empty() || !usable.front()->by_sidecar))
    return usable.front()->make(options);
  // One call at a time, whichever of them a lease goes by.
  if (options.on_state) {
    options.on_state = [notifier = std::make_shared<exposer::Notifier>(options.on_state)](
                           const std::string& lease, ExposureState state, const std::string& reason) {
      notifier->tell(lease, state, reason);
    };
  }
  std::vector<exposer::Automatic::Way> ways;
  for (const auto* const driver : usable) ways.push_back({driver, driver->make(options)});
  return std::make_unique<exposer::Automatic>(std::move(ways), list_of(against));
}

}  // namespace hostnet
