// What the rest of the library asks of a path, whichever it is. Each path has a folder here and one row of
// the table in paths.cpp; nothing else names them all.
#pragma once

#include "core/deadline.hpp"
#include "core/json.hpp"
#include "hostnet/error.hpp"
#include "hostnet/exposer.hpp"
#include "lease/tunnel_record.hpp"
#include "path/ahead.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hostnet::exposer {

/// What a path would do for a request.
struct DryRun {
  std::vector<std::string> lines;  ///< For a person; a line may hold a listing of several lines.
  json::Value object;              ///< The same for a program.
};

/// What a path alone knows of one of its leases with a record. What all records hold is shown without asking.
struct RecordView {
  std::string kind;   ///< Of what the lease stands on, for messages: "sidecar".
  std::string id;     ///< Which one.
  std::string way;    ///< What the bytes go through: "tunnel".
  std::string state;  ///< How that is now, one line.
  std::vector<std::pair<std::string, json::Value>> members;  ///< Of its JSON, beside those of every lease.
};

/// One path. Plain data and functions without state: thread-safe.
struct PathDriver {
  /// Its value in the public interface. `automatic`: it has none, and is wanted by its name alone.
  Path path;
  const char* name;  ///< As in --via, labels, records and messages. Unique.
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

  /// The path whose rules this one has another process make, and whose `dry_run` shows them; nullptr: its own.
  const char* rules_of;
  /// What it would do; changes nothing. nullptr where `rules_of` names a path.
  /// @throws Error as expose_all() would before its first change.
  DryRun (*dry_run)(const ExposeRequest& request, const ExposerOptions& options);
  /// Removes what stands of a lease by its record, and then the record. nullptr: its leases have no record.
  /// @throws Error naming every step that failed; the record stays then.
  void (*clear_away)(const state::TunnelStore& store, const state::TunnelRecord& record, Deadline deadline);
  /// A lease, from its record. nullptr: its leases are shown from elsewhere.
  RecordView (*describe)(const state::TunnelRecord& record);
};

/// Paths, in order of preference.
using PathTable = std::span<const PathDriver* const>;

}  // namespace hostnet::exposer
