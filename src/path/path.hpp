// The interface of a path to the rest of the library. Each path has a folder here and one row in the table in
// paths.cpp; nothing else names all paths.
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

/// A path's plan for a request.
struct DryRun {
  std::vector<std::string> lines;  ///< For display, one printed line each.
  json::Value object;              ///< The same as JSON.
};

/// A container that is to be started for a command, and that alone is served.
struct CommandContainer {
  std::string image;
  std::vector<std::string> command;  ///< Empty: the image's own.
};

/// A path's own facts about one of its recorded leases. The facts in every record are shown without this
/// call.
struct RecordView {
  std::string kind;   ///< What serves the lease, for messages: "sidecar".
  std::string id;     ///< Its id.
  std::string way;    ///< What carries the bytes: "tunnel".
  std::string state;  ///< The state of that, one line.
  std::vector<std::pair<std::string, json::Value>> members;  ///< Further JSON members.
  std::string listens = {};  ///< Where it listens, if that is in the container; else empty.
};

/// One path. Plain data and functions without state: thread-safe.
struct PathDriver {
  /// Its value in the public interface; `automatic`: none, the path is selected only by name.
  Path path;
  const char* name;  ///< For --via, labels, records and messages. Unique.
  /// Accepts bridges and network namespaces as targets; false: only an engine's containers and networks.
  bool serves_bridges;
  /// Accepts an engine's networks as targets; false: single containers only.
  bool serves_networks;
  /// Serves a container without a network, too.
  bool needs_no_network;
  /// A sidecar container on the target's network has the ports; false: the gateway of the bridge has them.
  bool by_sidecar;
  /// The probe asks another process; skipped if an earlier path is usable and this one is not requested.
  bool probed_late;
  Errc unusable;     ///< The error if the path is requested but not usable,
  const char* hint;  ///< and its hint.

  /// Whether it works here. `engine` as in ExposerOptions. Changes nothing.
  Probe (*probe)(const std::string& engine);
  /// @throws Error.
  std::unique_ptr<Exposer> (*make)(const ExposerOptions& options);
  /// A lease for a container before its start. @throws Error as Exposer::expose_all(); no_path if another
  /// path may work.
  std::unique_ptr<AheadLease> (*ahead)(const ExposerOptions& options, const AheadRequest& request,
                                       Deadline deadline);
  /// Whether the next path may be tried after this error.
  bool (*leaves_to_another)(const Error& error);
  /// Why a container port with this number cannot reach the host; empty if it can.
  std::string_view (*port_fault)(std::uint16_t container_port);

  /// The path whose rules another process makes for this one; its `dry_run` shows them. nullptr: its own
  /// rules.
  const char* rules_of;
  /// Its plan; changes nothing. nullptr if `rules_of` names a path.
  /// @throws Error as expose_all() before its first change.
  DryRun (*dry_run)(const ExposeRequest& request, const ExposerOptions& options);
  /// Its plan for a lease ahead of a container that is started for a command; changes nothing. nullptr: such
  /// containers are not served. @throws as `dry_run`.
  DryRun (*dry_run_ahead)(const ExposerOptions& options, const AheadRequest& request,
                          const CommandContainer& container);
  /// Removes a recorded lease, then the record. nullptr: its leases have no record.
  /// @throws Error naming every failed step; the record then stays.
  void (*clear_away)(const state::TunnelStore& store, const state::TunnelRecord& record, Deadline deadline);
  /// Whether only the owner can close the ports of a recorded lease: who releases it waits for the owner.
  bool owner_closes = false;
  /// Describes a lease from its record. nullptr: its leases are listed from another source.
  RecordView (*describe)(const state::TunnelRecord& record);
};

/// Paths, in order of preference.
using PathTable = std::span<const PathDriver* const>;

}  // namespace hostnet::exposer
