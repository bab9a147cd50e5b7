// Detects at once that the last duplicate of a lease's descriptor was closed.
//
// Such a descriptor is an open file with a lock (state::Keepalive). inotify reports the end of an open file,
// not of each descriptor. The watch then tests the lock on its own descriptor, opened earlier: opening and
// closing the file again would cause another event.
#pragma once

#include "core/fd.hpp"

#include <filesystem>
#include <map>
#include <set>
#include <string>

namespace hostnet::exposer {

/// Not thread-safe.
class KeepaliveWatch {
 public:
  /// @throws Error.
  KeepaliveWatch();

  /// Readable when a descriptor may have been closed.
  [[nodiscard]] int fd() const noexcept { return inotify_.get(); }
  /// Watches the keepalives in this folder (state::make_keepalive()), in addition to earlier folders.
  /// @throws Error.
  void watch(const std::filesystem::path& folder);
  /// Adds a lease and the token of its keepalive, whose file must be in the watched folder. @throws Error.
  void add(const std::string& lease, const std::string& token);
  /// Does nothing if the lease is not watched.
  void remove(const std::string& lease);
  /// Reads the events and tests no lock yet: the kernel reports the end of an open file just before it
  /// releases the lock, others' tests of the lock cause events too, and an exiting process closes many files.
  /// Returns whether to call look() shortly.
  bool read();
  /// The leases whose lock is gone, once each.
  std::set<std::string> look();
  /// Whether to call look() again shortly.
  [[nodiscard]] bool has_suspects() const noexcept { return !suspects_.empty(); }

 private:
  struct Watched {
    std::string lease;
    Fd file;
  };

  Fd inotify_;
  std::filesystem::path folder_;
  std::map<std::string, Watched> by_token_;
  std::map<std::string, int> suspects_;  // tokens, and the number of tests left
};

}  // namespace hostnet::exposer
