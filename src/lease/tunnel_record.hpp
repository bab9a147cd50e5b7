// Records of leases on the ssh path (and, for their aliases, on the helper path): one file per lease, for
// `list`, `status` and `release` of other processes and for the removal of a dead owner's tunnel.
//
// They are separate from the journal: no rule and no sysctl depends on them, so a lease needs no lock, and
// they belong to a user, not to a network namespace. The file is written before the sidecar is created and
// removed after the sidecar is gone.
//
// A lease that another process releases has two who take it down: that process at once, and the owner, who may
// be in the middle of its set-up. Either may be killed in the meantime. So the record is renamed to ID.released
// first, which tells the owner, and goes with the owner.
#pragma once

#include "core/deadline.hpp"
#include "hostnet/error.hpp"
#include "hostnet/port.hpp"
#include "lease/lease.hpp"
#include "lease/path_name.hpp"
#include "lease/private_folder.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::state {

/// The state of a lease whose target is away (watch/follower.hpp). A path without records has only such ones.
inline constexpr const char* kWaiting = "waiting";
/// The state of a record that is no lease: its owner follows the lease `follows`, which may be in no record for a
/// moment. Who releases that lease removes this record, too.
inline constexpr const char* kFollowing = "following";

/// A tunnel's state, as its owner last wrote it.
struct TunnelStats {
  std::string state;   ///< "connecting", "up", "reconnecting", "failed" or kWaiting.
  std::string reason;  ///< Why it is not up; empty if it is up.
  std::string cipher;
  unsigned sessions = 0;
  std::uint64_t reconnects = 0;
  std::uint64_t accepted = 0;
  std::uint64_t strangers = 0;
  std::uint64_t unserved = 0;
  std::uint64_t bytes_to_host = 0;
  std::uint64_t bytes_from_host = 0;
  std::int64_t open = 0;
  std::string dialled_by = {};  ///< Of a sidecar: the kind of way to it, "address"; empty: not known.
  std::string dialled_at = {};  ///< Where: "172.18.0.3:22"; may be empty.

  /// Adds the counters of another tunnel of the same lease.
  void add(const TunnelStats& other);
  bool operator==(const TunnelStats&) const = default;
};

struct TunnelRecord {
  /// The path's name. A helper lease has no sidecar; its record exists only for the alias.
  std::string via;
  std::string id;      ///< Eight hexadecimal digits, unique on this host.
  std::string target;  ///< As requested: "container api".
  std::string label;
  OwnerId owner;
  std::string engine;                ///< Path of the engine's socket.
  std::string sidecar;               ///< Container id, or its name during creation.
  std::string network;               ///< Name of the sidecar's network.
  std::string address;               ///< The sidecar's address there; empty until it runs.
  std::vector<std::string> sources;  ///< Permitted sources; empty: the whole network.
  std::vector<HostPort> ports;
  std::vector<std::string> alias_in;  ///< Ids of containers whose hosts file has the alias.
  std::int64_t created = 0;           ///< Seconds since the epoch.
  std::optional<std::int64_t> expires;
  TunnelStats stats;
  std::string container =
      {};  ///< Id of the one container that a relay lease serves; else empty, as of a network's.
  std::string follows = {};  ///< With kFollowing: the lease's id.
  /// Of a relay lease: a container at the engine made it, as only the engine may look into the target.
  bool handed_off = false;
  std::string bridge = {};  ///< Interface name, of a relay lease at the gateway of a network; else empty.
  /// Of a relay lease in a container: the port of each socket, in order; empty: the lease's own ports.
  std::vector<std::uint16_t> listens = {};
  /// The inode of that bridge's network namespace: two engines may each have a docker0. 0: not known.
  std::uint64_t bridge_netns = 0;

  bool operator==(const TunnelRecord&) const = default;
};

/// Where a relay lease listens for its port of this index: "127.0.0.77:61080".
std::string listens_at(const TunnelRecord& record, std::size_t port);

/// "3 connections open of 120, 1.2 MB to the host, 3.0 kB from it".
std::string carried(const TunnelStats& stats);

/// As keeps_records().
using PathTest = bool (*)(std::string_view path) noexcept;

/// A folder of records, in user_dir(). Thread-safe. Every call that is not noexcept throws
/// Error{not_authorised} for a folder that PrivateFolder refuses.
class TunnelStore {
 public:
  /// `configured` as in ExposerOptions. load() skips records of paths that `is_known` rejects. Creates
  /// nothing. @throws as user_dir().
  explicit TunnelStore(const std::string& configured, PathTest is_known = keeps_records);

  /// The name of a record in the folder.
  static std::string file_of(const std::string& id);
  [[nodiscard]] const std::string& configured() const noexcept { return configured_; }
  /// The folder of the records and of the owners' files.
  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_; }
  /// Creates the folder and locks it; tidy() of every process waits or gives up while it is open. @throws
  /// Error{timed_out}.
  [[nodiscard]] PrivateFolder lock(Deadline deadline = Deadline::after(kPatience)) const;
  /// Writes the record in one step. @throws Error, also timed_out; failure for a lease that was revoked.
  void save(const TunnelRecord& record, Deadline deadline = Deadline::after(kPatience)) const;
  /// For the owner, and for a process that finds it dead: removes all there is of the record, if anything.
  void remove(const std::string& id) const noexcept;
  /// Tells the owner that the lease is released: contains() is false from now on. Does nothing if there is no
  /// record. @throws Error, also timed_out.
  void revoke(const std::string& id, Deadline deadline = Deadline::after(kPatience)) const;
  /// Whether there is a record of a lease that was revoked; false if that is unknown.
  [[nodiscard]] bool is_revoked(const std::string& id) const noexcept;
  /// For a process that has cleared away what the lease left: as remove(), unless the owner lives and the lease was
  /// revoked, for then the owner removes what it has made since.
  void forget(const TunnelRecord& record) const noexcept;
  /// Removes the files of dead owners and of unfinished writes, and dead sockets (record_socket.hpp), then the
  /// folder if it is empty. Gives up if the lock is not free within 1 s.
  void tidy() const noexcept;
  /// Whether the record exists; true also if that is unknown.
  [[nodiscard]] bool contains(const std::string& id) const noexcept;
  /// All records, oldest first. Skips a corrupt or unknown file with a warning.
  [[nodiscard]] std::vector<TunnelRecord> load() const;
  /// As load(), of the leases that were revoked and whose owners have not ended them yet.
  [[nodiscard]] std::vector<TunnelRecord> load_revoked() const;
  /// All records, revoked or not.
  [[nodiscard]] std::vector<TunnelRecord> load_all() const;
  [[nodiscard]] bool is_alive(const TunnelRecord& record) const;

 private:
  [[nodiscard]] std::optional<PrivateFolder> find() const;
  [[nodiscard]] std::vector<TunnelRecord> load_named(std::string_view suffix) const;

  // Bounds the wait for the lock, which covers the write of one small file.
  static constexpr std::chrono::seconds kPatience{5};

  std::string configured_;
  std::filesystem::path base_;
  std::filesystem::path folder_;
  PathTest is_known_;
};

/// What save() throws for a revoked lease: the reason, too, for what else fails in its set-up from then on.
Error revoked(const std::string& id);

/// The file's text, and the reverse. @throws Error{state_corrupt} for text that tunnel_record_to_json()
/// cannot have written, and for an unknown `via`.
std::string tunnel_record_to_json(const TunnelRecord& record);
TunnelRecord tunnel_record_from_json(std::string_view text, PathTest is_known = keeps_records);

}  // namespace hostnet::state
