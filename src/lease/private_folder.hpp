// The folders that state is kept in, reached by descriptors: who could put a file or a folder of their own
// there could have us delete files, undo settings or remove containers of their choosing.
//
// A path is walked one component at a time, links included, so that every folder on the way is judged on the
// descriptor that leads on from it. Each must belong to root, to this user or to the owner of "/"; the last
// one before the state must also be closed to the writes of others (or be sticky, as /tmp is, where no user
// can rename what belongs to another). The folder itself and those below it must be real folders that belong
// to this user and that no other user can write. Below it nothing is opened by path any more.
//
// A file counts only if it is a regular file of this user's, with one link, that others cannot write: a link
// would lead out of the folder, a FIFO would have the reader wait. A file that does not count is neither
// read nor removed.
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

/// An open folder of this user's. Not thread-safe while it is moved; else it is. Names are single components:
/// any other is a file that does not count.
class PrivateFolder {
 public:
  /// Opens it and makes nothing; nullopt when it is not there.
  /// @throws Error: not_authorised when it, or a folder on the way, is not to be trusted; failure.
  static std::optional<PrivateFolder> find(const std::filesystem::path& path);
  /// The same, making what is missing, mode 0700. @throws likewise.
  static PrivateFolder make(const std::filesystem::path& path);

  /// A folder below. nullopt when it is not there. @throws as find().
  [[nodiscard]] std::optional<PrivateFolder> find_folder(const std::string& name) const;
  /// The same, made if need be. nullopt when this one has been removed meanwhile. @throws as find().
  [[nodiscard]] std::optional<PrivateFolder> make_folder(const std::string& name) const;

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// A path by way of the descriptor, for a call that takes no other; good as long as the object.
  [[nodiscard]] std::string by_descriptor() const;
  /// Whether it is still what its name leads to.
  [[nodiscard]] bool is_there() const noexcept;
  /// Takes flock(2) on the folder itself, which lasts as long as the object. @return false at the deadline.
  [[nodiscard]] bool lock(Deadline deadline) const;
  /// Removes it when it is empty. Whether it is gone.
  bool remove_itself() const noexcept;

  /// What is in it, files and folders of whatever kind, unsorted.
  [[nodiscard]] std::vector<std::string> names() const;
  /// Whether there is a file of that name which counts.
  [[nodiscard]] bool has(const std::string& name) const noexcept;
  /// Opens a file, `access` as for open(2) but for O_CREAT; never waits. None when it is not there.
  /// @throws Error: not_authorised for a file that does not count, failure.
  [[nodiscard]] Fd open(const std::string& name, int access) const;
  /// The same; makes an empty one, mode 0600, that is not there. None when the folder has been removed
  /// meanwhile.
  [[nodiscard]] Fd open_or_create(const std::string& name, int access) const;
  /// A file that was not there. None when the folder has been removed meanwhile. @throws Error.
  [[nodiscard]] Fd create(const std::string& name, int access, mode_t mode) const;
  /// The whole of a file; nullopt when it is not there. @throws as open(), failure above `limit` bytes.
  [[nodiscard]] std::optional<std::string> read(const std::string& name, std::size_t limit) const;
  /// Puts a file with this text, mode 0600, in the place of one that counts, or of none, in one step.
  /// @throws Error; the old file is untouched then.
  void replace(const std::string& name, std::string_view text) const;
  /// Renames a file that counts, over whatever has the other name. @throws Error.
  void rename(const std::string& from, const std::string& to) const;
  /// Removes a file that counts. Whether there is nothing of that name any more.
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

/// What replace() calls a file until it is whole; one is left by a process that was killed meanwhile.
inline constexpr std::string_view kUnfinished = ".new";

}  // namespace hostnet::state
