// Which path serves, as a pure function of what was found out.
#pragma once

#include "hostnet/exposer.hpp"
#include "path/paths.hpp"

#include <string>
#include <vector>

namespace hostnet::exposer {

/// What was found out about one path.
struct Candidate {
  Path path;
  Probe probe;
};

struct Choice {
  std::optional<Path> path;  ///< nullopt when none is usable.
  std::vector<std::string>
      reasons;  ///< For each path passed over, and for the one taken: "native: it needs …".
};

/// The first usable candidate, in the order given, or the wanted one and no other. Pure.
Choice choose(Path wanted, const std::vector<Candidate>& candidates);

/// Probes this machine, in the order of preference; what is probed late only where it is `wanted` or none
/// before it is usable. `engine` as in ExposerOptions. Changes nothing.
std::vector<Candidate> probe_paths(const std::string& engine, Path wanted = Path::automatic);

/// The paths that `options` allow and that are usable here, the best first; never empty.
/// @throws Error as make_exposer().
std::vector<Path> paths_to_try(const ExposerOptions& options);

/// Makes what can be made now. `path` is none but one that paths_to_try() gave.
/// @throws Error as Exposer::expose_all(); no_path where another path may do.
std::unique_ptr<AheadLease> lease_ahead(Path path, const ExposerOptions& options, const AheadRequest& request,
                                        Deadline deadline);

}  // namespace hostnet::exposer
