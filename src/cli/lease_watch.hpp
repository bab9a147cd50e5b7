// Wakes `list --watch` when leases may have changed. Nothing is polled:
//
//   source                                         tells of
//   inotify: the journal and the records           leases that come, change and go; while the folder is missing,
//                                                  its nearest existing ancestor is watched for it
//   a pidfd for each owner                         the death of an owner, whose leases the next look releases
//   the system bus, without root                   leases of the helper, and its end
//   a signalfd                                     SIGINT, SIGTERM, SIGHUP: the end; SIGWINCH: the size
//
// arm() comes before the look at the leases, so that no change between the two is lost.
#pragma once

#include "core/fd.hpp"
#include "dbus/client.hpp"

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::cli {

class LeaseWatch {
 public:
  /// Blocks the signals, so it comes before any thread.
  explicit LeaseWatch(std::vector<std::filesystem::path> folders);

  /// Begins anew with the folders as they are now.
  void arm();
  enum class Woken { change, time, stop };
  /// Waits for a change; at least `least` from now on, so that a busy owner does not keep this one busy, and at
  /// most `most`.
  Woken wait(const std::vector<pid_t>& owners, std::chrono::milliseconds least,
             std::optional<std::chrono::milliseconds> most);

 private:
  void watch(const std::filesystem::path& folder);
  bool read_changes();
  std::optional<Woken> read_signals();

  std::vector<std::filesystem::path> folders_;
  Fd signals_;
  Fd inotify_;
  std::map<int, std::string>
      expected_;  // by watch: the name to wait for in an ancestor; empty: a folder of state
  std::unique_ptr<dbus::Client> bus_;  // null for root, and without a bus
};

}  // namespace hostnet::cli
