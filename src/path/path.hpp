// What the rest of the library asks of a path, whichever it is. Each path has a folder here and one row of
// the table in paths.cpp; nothing else names them all.
#pragma once

#include "core/deadline.hpp"
#include "hostnet/error.hpp"
#include "hostnet/exposer.hpp"
#include "path/ahead.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace hostnet::exposer {

/// One path. Plain data and functions without state: thread-safe.
struct PathDriver {
  Path path;
  const char* name;  ///< As in --via and in messages.
  /// Takes bridges and network namespaces; otherwise only what an engine knows: containers and networks.
  bool serves_bridges;
  /// A sidecar container on the target's network has the ports; otherwise the gateway of its bridge has them.
  bool by_sidecar;
  /// Its probe asks another process: it is skipped where a path before it is usable, and the path not asked
  /// for.
  bool probed_late;
  Errc unusable;     ///< The error of a program that insists on it where it is not usable,
  const char* hint;  ///< and what to do then.

  /// Whether it can work here. `engine` as in ExposerOptions. Changes nothing.
  Probe (*probe)(const std::string& engine);
  /// @throws Error.
  std::unique_ptr<Exposer> (*make)(const ExposerOptions& options);
  /// A lease for a container that does not run yet. @throws Error as Exposer::expose_all(); no_path where
  /// another path may do.
  std::unique_ptr<AheadLease> (*ahead)(const ExposerOptions& options, const AheadRequest& request,
                                       Deadline deadline);
  /// After such an error the next path may be tried.
  bool (*leaves_to_another)(Errc error);
  /// Why no port of a container with this number can lead to the host; empty where it can.
  std::string_view (*port_fault)(std::uint16_t container_port);
};

}  // namespace hostnet::exposer
