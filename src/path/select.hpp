// Which path serves: a pure function of what was found out of each. All functions take the table that they
// choose from; the library's is paths().
#pragma once

#include "hostnet/exposer.hpp"
#include "path/paths.hpp"

#include <memory>
#include <string>
#include <vector>

namespace hostnet::exposer {

/// What was found out about one path.
struct Candidate {
  const PathDriver* driver;
  Probe probe;
};

struct Choice {
  const PathDriver* driver = nullptr;  ///< nullptr when none is usable.
  std::vector<std::string>
      reasons;  ///< For each path passed over, and for the one taken: "native: it needs …".
};

/// The first usable candidate, in the order given, or the wanted one and no other. `wanted` is nullptr for
/// automatic, here and below. Pure.
Choice choose(const PathDriver* wanted, const std::vector<Candidate>& candidates);

/// Probes this machine, in the order of the table; what is probed late only where it is `wanted` or none
/// before it is usable. `engine` as in ExposerOptions. Changes nothing.
std::vector<Candidate> probe_paths(PathTable table, const std::string& engine,
                                   const PathDriver* wanted = nullptr);

/// As hostnet::make_exposer(), by a path of this table; `options.path` does not count.
/// @throws Error: where none is usable, the wanted path's `unusable`, else no_path.
std::unique_ptr<Exposer> make_exposer_by(PathTable table, const PathDriver* wanted, ExposerOptions options);

/// The paths that are allowed and usable here, the best first; never empty. @throws Error as
/// make_exposer_by().
std::vector<const PathDriver*> paths_to_try(PathTable table, const PathDriver* wanted,
                                            const ExposerOptions& options);

/// Makes what can be made now.
/// @throws Error as Exposer::expose_all(); no_path where another path may do.
std::unique_ptr<AheadLease> lease_ahead(const PathDriver& driver, const ExposerOptions& options,
                                        const AheadRequest& request, Deadline deadline);

/// What the path would do that would serve the request. Where none is usable, that is the first that could
/// serve such a target: to be looked at, rules need no privilege. @throws Error as expose_all() would before
/// its first change.
DryRun dry_run(PathTable table, const PathDriver* wanted, const ExposeRequest& request,
               const ExposerOptions& options);

}  // namespace hostnet::exposer
