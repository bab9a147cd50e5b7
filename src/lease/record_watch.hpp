// Tells the owner of a lease at once that another process has released it. That process waits for the owner to
// close what only the owner can.
#pragma once

#include "core/fd.hpp"
#include "lease/tunnel_record.hpp"

#include <string>

namespace hostnet::state {

/// For one thread.
class RecordWatch {
 public:
  /// Watches for the end of a record that has been saved, by inotify(7). Where that is not to be had (its limits are
  /// each user's, so a process takes 16), fd() is -1, and the owner has to look from time to time.
  RecordWatch(const TunnelStore& store, const std::string& id) noexcept;
  RecordWatch(const RecordWatch&) = delete;
  RecordWatch& operator=(const RecordWatch&) = delete;
  ~RecordWatch();

  /// Readable after a change in the folder.
  [[nodiscard]] int fd() const noexcept { return inotify_.get(); }
  /// Reads what has changed. @return whether the record may have gone.
  bool read() noexcept;

 private:
  std::string file_;
  Fd inotify_;
};

}  // namespace hostnet::state
