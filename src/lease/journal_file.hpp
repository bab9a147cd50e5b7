// The journal's file and this process's copy of it. A holder of many leases reads and writes only what
// changed.
//
// The first line holds the whole snapshot at the time the file was made; each later change appends a line. A
// file is only appended to or replaced, so one stat(2) shows by inode and size whether another process wrote.
//
//   file is          read()                             write()
//   absent           an empty snapshot                  replaces it; empty snapshot: nothing to do
//   as last read     the copy in memory                 appends one line
//   longer           applies the added lines            as after read(), which must come first
//   another inode    reads all of it; news()            replaces it
//   of another boot  an empty snapshot                  replaces it
//   corrupt          throws state_corrupt               not reached
//
//   event                                    then
//   the last line has no newline             its writer was killed before the change began: the line does not
//                                            count, and the next write() replaces the file
//   the changes grow longer than the first   write() replaces the file
//   line and than 64 KiB (kRoom)
//   the snapshot becomes empty               write() removes the file
//   the file is larger than 256 MiB          read() throws (kLargest)
//
// No call waits; the journal's lock (journal.hpp) has the deadline.
#pragma once

#include "core/fd.hpp"
#include "lease/private_folder.hpp"
#include "lease/snapshot.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace hostnet::state {

/// The journal file of one network namespace. Not thread-safe. A writer holds the journal's lock.
class JournalFile {
 public:
  /// Reads and creates nothing.
  explicit JournalFile(std::filesystem::path folder);

  /// The current snapshot; empty for an absent file or one from before this boot.
  /// @throws Error: state_corrupt if the file is not a journal; not_authorised if PrivateFolder refuses it or
  /// its folder; failure.
  const Snapshot& read();
  /// Writes the snapshot; an empty one removes the file. Requires the lock and a read() under that lock,
  /// which shows what is already in the file. @throws Error; the file's content is then unchanged.
  void write(const Snapshot& snapshot);

  /// Grows each time read() finds that another process has written.
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
  Fd seen_;  // stays open so that the kernel cannot reuse the inode number
  Snapshot snapshot_;
  std::size_t first_ = 0;  // bytes of the first line
  std::size_t size_ = 0;   // bytes of all whole lines
  std::uint64_t news_ = 0;
};

}  // namespace hostnet::state
