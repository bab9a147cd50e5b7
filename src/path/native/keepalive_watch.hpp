// Notices at once when the last duplicate of a descriptor that a lease is bound to has been closed.
//
// Such a descriptor is an open file with a lock on it (state::Keepalive). The kernel tells of the end of an
// open file, not of each descriptor's, by inotify; whether the lock went with it is then asked by a
// descriptor of our own, opened beforehand: opening the file anew, and closing it, would be one more event to
// look into.
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

  /// Readable when one may have been closed.
  [[nodiscard]] int fd() const noexcept { return inotify_.get(); }
  /// Watches the keepalives in this folder (state::make_keepalive()) from now on, as well as those before.
  /// @throws Error.
  void watch(const std::filesystem::path& folder);
  /// A lease, and the token of its keepalive, whose file must be in the folder that is watched. @throws
  /// Error.
  void add(const std::string& lease, const std::string& token);
  /// Nothing when it is not watched.
  void remove(const std::string& lease);
  /// Reads which may have been closed, and judges none of them yet: the kernel tells of the end of an open
  /// file a moment before it lets go of its lock, of the end of others' looks at the lock as well, and a
  /// process that ends closes many. Returns whether to look() in a moment.
  bool read();
  /// The leases whose lock is gone, once each.
  std::set<std::string> look();
  /// Whether to look() again in a moment.
  [[nodiscard]] bool has_suspects() const noexcept { return !suspects_.empty(); }

 private:
  struct Watched {
    std::string lease;
    Fd file;
  };

  Fd inotify_;
  std::filesystem::path folder_;
  std::map<std::string, Watched> by_token_;
  std::map<std::string, int> suspects_;  // tokens, and how often they are still to be looked at
};

}  // namespace hostnet::exposer
