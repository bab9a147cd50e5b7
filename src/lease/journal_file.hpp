// The journal's file as this process last saw it, so that a holder of many leases neither reads nor writes
// anew, for each change, what has not changed.
//
// The file begins with all that was held when it was made, on one line, and each change since then adds a
// line. A line without its end is of somebody killed while writing it: that change had not begun, and the
// next one puts a new file into the place of this one. So does a change when the file has become twice as
// long as it would be anew. A file is only ever added to or replaced: its inode and size tell with one
// stat(2) whether anybody has changed anything.
#pragma once

#include "core/fd.hpp"
#include "lease/private_folder.hpp"
#include "lease/snapshot.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace hostnet::state {

/// Of one network namespace. Not thread-safe. Whoever writes has the journal's lock.
class JournalFile {
 public:
  /// Touches nothing yet.
  explicit JournalFile(std::filesystem::path folder);

  /// What is held. An absent file, and one from before this boot, is nothing.
  /// @throws Error{state_corrupt} when the file is not a journal; not_authorised when it or its folder is
  /// none that PrivateFolder counts; failure.
  const Snapshot& read();
  /// Makes the file say what is held; nothing held removes it. With the lock, and after read() with that
  /// lock, which tells what need not be written again. @throws Error; the file says what it said then.
  void write(const Snapshot& snapshot);

  /// Grows whenever read() finds what somebody else has written.
  [[nodiscard]] std::uint64_t news() const noexcept { return news_; }
  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  [[nodiscard]] PrivateFolder open_folder() const;
  void forget();
  bool read_added(std::size_t size);
  bool append(const PrivateFolder& folder, const Snapshot& snapshot);
  void replace(const PrivateFolder& folder, const Snapshot& snapshot);

  std::filesystem::path folder_;
  std::filesystem::path path_;
  std::string boot_id_;
  Fd seen_;  // open, lest its inode be given to another
  Snapshot snapshot_;
  std::size_t first_ = 0;  // bytes of the first line
  std::size_t size_ = 0;   // bytes of all whole lines
  std::uint64_t news_ = 0;
};

}  // namespace hostnet::state
