// The folders that hold state, reached by descriptors. A user who can place a file or folder there can make
// this process delete files, undo settings or remove containers of that user's choice.
//
// The walk goes one component at a time, links included, and judges each folder on the descriptor that leads
// to the next one. No call waits except lock(), which has a deadline. What fails a rule raises
// not_authorised; a file that fails is neither read nor removed.
//
//   step                               rule
//   each folder and link on the way    belongs to root, this user or the owner of "/"
//   the last folder before the state   closed to others' writes, or sticky as /tmp is (no user can then
//                                      rename another user's files)
//   links on the way                   40 at most (kMostLinks, the kernel's limit), else ELOOP
//   the folder, and folders below it   a real folder of this user, not writable by others
//   a file in it                       a regular file of this user, with one link, not writable by others
//
//   another process                    then
//   removes the folder during find()   nullopt
//   removes the folder during make()   the walk starts again
//   removes a file during open()       no descriptor, as for a missing file
//   is killed during replace()         the old file stays, beside NAME.new (kUnfinished)
//
// Below the folder, no file is opened by path. A link would lead out of the folder; a FIFO would block the
// reader.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::state {

/// Whether the folder, or the nearest one above it that this user can see, is root's and this user is not root:
/// the leases there are root's, and no fault. For messages only; access is judged by PrivateFolder.
bool is_roots(const std::filesystem::path& path);

/// An open folder of this user. Thread-safe, except while it is moved. Names are single components; any other
/// name fails the rules.
class PrivateFolder {
 public:
  /// Opens the folder and creates nothing; nullopt if it is missing.
  /// @throws Error: not_authorised if it or a folder on the way fails the rules; failure.
  static std::optional<PrivateFolder> find(const std::filesystem::path& path);
  /// Opens the folder and creates missing ones, mode 0700. @throws as find().
  static PrivateFolder make(const std::filesystem::path& path);

  /// Opens a folder below; nullopt if it is missing. @throws as find().
  [[nodiscard]] std::optional<PrivateFolder> find_folder(const std::string& name) const;
  /// Opens or creates a folder below; nullopt if another process removed this one. @throws as find().
  [[nodiscard]] std::optional<PrivateFolder> make_folder(const std::string& name) const;

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// A path through the descriptor, for a call that takes only a path; valid while the object exists.
  [[nodiscard]] std::string by_descriptor() const;
  /// Whether its name still leads to this folder.
  [[nodiscard]] bool is_there() const noexcept;
  /// Takes flock(2) on the folder; the lock lasts as long as the object. @return false at the deadline.
  [[nodiscard]] bool lock(Deadline deadline) const;
  /// Removes the folder if it is empty. @return whether it is gone.
  bool remove_itself() const noexcept;

  /// The names of its entries of any kind, unsorted.
  [[nodiscard]] std::vector<std::string> names() const;
  /// Whether a file of that name exists and passes the rules.
  [[nodiscard]] bool has(const std::string& name) const noexcept;
  /// Opens a file; `access` as for open(2), without O_CREAT. Never blocks. No descriptor if it is missing.
  /// @throws Error: not_authorised for a file that fails the rules, failure.
  [[nodiscard]] Fd open(const std::string& name, int access) const;
  /// As open(), but creates a missing file, empty, mode 0600. No descriptor if another process removed the
  /// folder.
  [[nodiscard]] Fd open_or_create(const std::string& name, int access) const;
  /// Creates a new file. No descriptor if another process removed the folder. @throws Error.
  [[nodiscard]] Fd create(const std::string& name, int access, mode_t mode) const;
  /// The file's content; nullopt if it is missing. @throws as open(), failure above `limit` bytes.
  [[nodiscard]] std::optional<std::string> read(const std::string& name, std::size_t limit) const;
  /// Creates or replaces a file in one step, mode 0600, with this text.
  /// @throws Error; the old file is then unchanged.
  void replace(const std::string& name, std::string_view text) const;
  /// Renames a file that passes the rules, replacing the other name. @throws Error.
  void rename(const std::string& from, const std::string& to) const;
  /// Removes a file that passes the rules. @return whether nothing of that name exists.
  bool remove(const std::string& name) const noexcept;

 private:
  PrivateFolder(Fd parent, std::string name, Fd fd, std::filesystem::path path)
      : parent_(std::move(parent)), name_(std::move(name)), fd_(std::move(fd)), path_(std::move(path)) {}
  static std::optional<PrivateFolder> reach(const std::filesystem::path& path, bool make);
  static std::optional<PrivateFolder> reach_below(Fd parent, const std::filesystem::path& parent_path,
                                                  const std::string& name, bool make);
  [[nodiscard]] Fd open_file(const std::string& name, int flags) const;

  Fd parent_;
  std::string name_;
  Fd fd_;
  std::filesystem::path path_;
};

/// The suffix of a file that replace() is writing; a killed process leaves such a file behind.
inline constexpr std::string_view kUnfinished = ".new";

}  // namespace hostnet::state
