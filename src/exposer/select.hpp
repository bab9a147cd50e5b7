// Which path serves, as a pure function of what was found out.
#pragma once

#include "hostnet/exposer.hpp"

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

/// Probes this machine, in the order of preference; the helper only where it is `wanted` or the native path
/// is not usable. `engine` as in ExposerOptions. Changes nothing.
std::vector<Candidate> probe_paths(const std::string& engine, Path wanted = Path::automatic);

}  // namespace hostnet::exposer
