// Leases on the ssh path (and, for their aliases, the helper's), as one file each: what `list`, `status` and
// `release` of another process know of them, and what a dead owner's tunnel left to be cleared away.
//
// They are apart from the journal: no rule and no sysctl hangs on them, so nobody has to take a lock to make
// one, and they belong to a user, not to a network namespace. The file is written before the sidecar is made
// and removed after it is gone.
#pragma once

#include "core/deadline.hpp"
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

/// How a tunnel is, as its owner last said.
struct TunnelStats {
  std::string state;   ///< "connecting", "up", "reconnecting" or "failed".
  std::string reason;  ///< Why it is not up; empty when it is.
  std::string cipher;
  unsigned sessions = 0;
  std::uint64_t reconnects = 0;
  std::uint64_t accepted = 0;
  std::uint64_t strangers = 0;
  std::uint64_t unserved = 0;
  std::uint64_t bytes_to_host = 0;
  std::uint64_t bytes_from_host = 0;
  std::int64_t open = 0;

  /// Adds the numbers of another tunnel of the same lease.
  void add(const TunnelStats& other);
  bool operator==(const TunnelStats&) const = default;
};

struct TunnelRecord {
  /// The path's name. By the helper, there is no sidecar, and the record is kept for the alias alone.
  std::string via;
  std::string id;      ///< Eight hexadecimal digits, unique on this host.
  std::string target;  ///< As it was asked for: "container api".
  std::string label;
  OwnerId owner;
  std::string engine;                ///< Path of the engine's socket.
  std::string sidecar;               ///< Container id, or its name while it is being created.
  std::string network;               ///< Name of the network that the sidecar is on.
  std::string address;               ///< The sidecar's there; empty until it runs.
  std::vector<std::string> sources;  ///< Who may connect; empty: everybody on the network.
  std::vector<HostPort> ports;
  std::vector<std::string> alias_in;  ///< Containers (ids) whose hosts file has the alias.
  std::int64_t created = 0;           ///< Seconds since the epoch.
  std::optional<std::int64_t> expires;
  TunnelStats stats;

  bool operator==(const TunnelRecord&) const = default;
};

/// As keeps_records().
using PathTest = bool (*)(std::string_view path) noexcept;

/// A folder of records, in user_dir(). Thread-safe. Every call throws Error{not_authorised} for a folder that
/// PrivateFolder refuses, but for those that are noexcept.
class TunnelStore {
 public:
  /// `configured` as in ExposerOptions; records of paths that are not `is_known` are skipped. Makes nothing.
  /// @throws as user_dir().
  explicit TunnelStore(const std::string& configured, PathTest is_known = keeps_records);

  /// Where they are; owners' files are in there as well.
  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_; }
  /// Makes the folder, and keeps tidy() of any process away as long as it is open. @throws Error{timed_out}.
  [[nodiscard]] PrivateFolder lock(Deadline deadline = Deadline::after(kPatience)) const;
  /// Writes the record, in one step. @throws Error, timed_out also.
  void save(const TunnelRecord& record, Deadline deadline = Deadline::after(kPatience)) const;
  /// Nothing when it is not there.
  void remove(const std::string& id) const noexcept;
  /// Removes the files of owners that have died and of writes that were not finished, and the folder when
  /// nothing is in it any more. Leaves that to others when the lock is not free for a second.
  void tidy() const noexcept;
  /// False when there is none; true also when that cannot be found out.
  [[nodiscard]] bool contains(const std::string& id) const noexcept;
  /// All records, oldest first. A file that is none, or of a kind that this version does not know, is skipped
  /// with a warning.
  [[nodiscard]] std::vector<TunnelRecord> load() const;
  [[nodiscard]] bool is_alive(const TunnelRecord& record) const;

 private:
  [[nodiscard]] std::optional<PrivateFolder> find() const;

  // For the lock, which is held for the writing of one small file.
  static constexpr std::chrono::seconds kPatience{5};

  std::filesystem::path base_;
  std::filesystem::path folder_;
  PathTest is_known_;
};

/// The file's text, and back. @throws Error{state_corrupt} for anything the other cannot have written, and
/// for a `via` that this version does not know.
std::string tunnel_record_to_json(const TunnelRecord& record);
TunnelRecord tunnel_record_from_json(std::string_view text, PathTest is_known = keeps_records);

}  // namespace hostnet::state
