// Chooses the path, as a pure function of the probes. Every function takes a table of paths; the library's is
// paths().
#pragma once

#include "hostnet/exposer.hpp"
#include "path/paths.hpp"

#include <memory>
#include <string>
#include <vector>

namespace hostnet::exposer {

/// One path and its probe.
struct Candidate {
  const PathDriver* driver;
  Probe probe;
};

struct Choice {
  const PathDriver* driver = nullptr;  ///< nullptr if no path is usable.
  std::vector<std::string> reasons;  ///< For each rejected path and for the chosen one: "native: it needs …".
};

/// The first usable candidate of those that are wanted. `wanted` is empty for automatic, here and below. Pure.
Choice choose(const PathOrder& wanted, const std::vector<Candidate>& candidates);

/// Probes this machine, in the order of the table, or only what is wanted, in that order. Probes a `probed_late`
/// path only if none before it is usable, or if it is wanted and none before it makes the same rules. `engine` as
/// in ExposerOptions. Changes nothing.
std::vector<Candidate> probe_paths(PathTable table, const std::string& engine, const PathOrder& wanted = {});

/// As hostnet::make_exposer(), with paths of this table; ignores `options.path` and `options.paths`.
/// @throws Error if no path is usable: that path's `unusable` if one is wanted, else no_path.
std::unique_ptr<Exposer> make_exposer_by(PathTable table, const PathOrder& wanted, ExposerOptions options);

/// The allowed and usable paths, best first; never empty. @throws Error as make_exposer_by().
PathOrder paths_to_try(PathTable table, const PathOrder& wanted, const ExposerOptions& options);

/// Logs that `next` serves in place of the paths with these reasons against them: as a warning one reason, short,
/// and once in this process; as details all. The last reason counts if it is `of_target`, which is news, else the
/// first: the preferred path's. Thread-safe.
void tell_instead(const std::vector<std::string>& against, bool of_target, const PathDriver& next);

/// The plan of the path that would serve the request: one that leaves it to another is passed over. If none is
/// usable, the first path that can serve such a target: showing rules needs no privilege.
/// @throws Error as expose_all() before its first change.
DryRun dry_run(PathTable table, const PathOrder& wanted, const ExposeRequest& request,
               const ExposerOptions& options);

}  // namespace hostnet::exposer
