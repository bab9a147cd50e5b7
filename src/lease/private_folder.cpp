// Walks to a folder, judges each step, and uses *at calls below it.
#include "lease/private_folder.hpp"

#include "core/file.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <deque>
#include <memory>

namespace hostnet::state {
namespace {

namespace fs = std::filesystem;

constexpr int kFolder = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr int kMostLinks = 40;  // the kernel's limit

struct stat status_of(int fd, const fs::path& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) throw Error::from_errno(fmt::format("stat {}", path.string()), errno);
  return status;
}

std::string user_name(uid_t uid) { return uid == 0 ? "root" : fmt::format("uid {}", uid); }

bool is_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

// Why a folder or file is not exclusively this user's; empty if it is.
std::string fault_of(const struct stat& status, bool folder) {
  if (S_ISLNK(status.st_mode)) return "is a symbolic link";
  if (folder && !S_ISDIR(status.st_mode)) return "is not a folder";
  if (!folder && !S_ISREG(status.st_mode)) return "is not a regular file";
  if (status.st_uid != ::geteuid()) return fmt::format("belongs to {}", user_name(status.st_uid));
  if ((status.st_mode & 022) != 0)
    return fmt::format("can be written by others (mode {:04o})", status.st_mode & 07777);
  if (!folder && status.st_nlink > 1) return fmt::format("has {} links", status.st_nlink);
  return {};
}

constexpr const char* kElsewhere = "set TC_HOSTNET_RUNTIME_DIR to a folder of your own";

[[noreturn]] void refuse_root(const fs::path& path) {
  throw Error(
      Errc::not_authorised,
      fmt::format("{} belongs to root, so only root can read and change the leases in it", path.string()),
      fmt::format("run this as root, or {}", kElsewhere));
}

// What to do about a folder or file that is refused. What another user owns may be in use: it is never to be
// removed for ours.
std::string remedy(const struct stat& status, const fs::path& path, bool folder) {
  if (status.st_uid != ::geteuid()) return kElsewhere;
  const bool open_to_others =
      (folder ? S_ISDIR(status.st_mode) : S_ISREG(status.st_mode)) && (folder || status.st_nlink < 2);
  return fmt::format("{}, or {}", open_to_others ? "chmod go-w " + shell_word(path.string()) : "remove it",
                     kElsewhere);
}

[[noreturn]] void refuse_folder(const fs::path& path, const struct stat& status, const std::string& fault) {
  if (status.st_uid == 0 && ::geteuid() != 0 && S_ISDIR(status.st_mode)) refuse_root(path);
  throw Error(Errc::not_authorised,
              fmt::format("{} {}: leases are kept only in a folder that {} owns and no other user can write",
                          path.string(), fault, user_name(::geteuid())),
              remedy(status, path, true));
}

[[noreturn]] void refuse_way(const fs::path& path, const std::string& fault) {
  throw Error(Errc::not_authorised,
              fmt::format("{} {}: another user could replace the folder of the leases below it",
                          path.string(), fault),
              kElsewhere);
}

// Throws the error of a call on `name` in an open folder.
[[noreturn]] void cannot_reach(int folder, const fs::path& path, const std::string& name, int cause) {
  if (cause != EACCES && cause != EPERM)
    throw Error::from_errno(fmt::format("open {}", (path / name).string()), cause);
  const auto status = status_of(folder, path);
  if (status.st_uid == 0 && ::geteuid() != 0 && (status.st_mode & S_IXOTH) == 0) refuse_root(path);
  throw Error(Errc::not_authorised,
              fmt::format("{} may not create or open {}, the folder of the leases", user_name(::geteuid()),
                          (path / name).string()),
              kElsewhere, cause);
}

// Group root and a user's private group count as having no other members.
bool is_closed(const struct stat& status) {
  if ((status.st_mode & S_ISVTX) != 0) return true;
  if ((status.st_mode & S_IWOTH) != 0) return false;
  const bool private_group =
      status.st_gid == 0 || (status.st_gid == ::getegid() && status.st_gid == ::geteuid());
  return (status.st_mode & S_IWGRP) == 0 || private_group;
}

// Walks from "/" to a folder, symbolic links included.
class Walk {
 public:
  explicit Walk(const fs::path& path) { enqueue(path); }

  // False if a folder is missing and `make` is false.
  bool go(bool make) {
    from_root();
    owner_of_root_ = status_of(at_.get(), path_).st_uid;
    while (!rest_.empty()) {
      const auto name = std::move(rest_.front());
      rest_.pop_front();
      if (!step(name, make)) return false;
    }
    if (!is_closed(status_of(at_.get(), path_))) {
      const auto mode = status_of(at_.get(), path_).st_mode & 07777;
      refuse_way(path_, fmt::format("can be written by others (mode {:04o})", mode));
    }
    return true;
  }
  Fd take() { return std::move(at_); }
  [[nodiscard]] const fs::path& path() const noexcept { return path_; }

 private:
  void enqueue(const fs::path& path) {
    auto next = rest_.begin();
    for (const auto part : split(path.native(), '/'))
      if (!part.empty() && part != ".") next = std::next(rest_.insert(next, std::string(part)));
  }

  void from_root() {
    at_.reset(::open("/", kFolder));
    if (!at_) throw Error::from_errno("open /", errno);
    path_ = "/";
  }

  bool step(const std::string& name, bool make) {
    Fd next(::openat(at_.get(), name.c_str(), kFolder));
    if (!next && errno == ENOENT) {
      if (!make) return false;
      if (::mkdirat(at_.get(), name.c_str(), 0700) != 0 && errno != EEXIST)
        cannot_reach(at_.get(), path_, name, errno);
      next.reset(::openat(at_.get(), name.c_str(), kFolder));
    }
    if (!next && (errno == ENOTDIR || errno == ELOOP)) {
      follow(name);
      return true;
    }
    if (!next) cannot_reach(at_.get(), path_, name, errno);
    path_ = name == ".." ? path_.parent_path() : path_ / name;
    judge(status_of(next.get(), path_), path_);
    at_ = std::move(next);
    return true;
  }

  void follow(const std::string& name) {
    struct stat status {};
    if (::fstatat(at_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
      cannot_reach(at_.get(), path_, name, errno);
    const auto path = path_ / name;
    if (!S_ISLNK(status.st_mode))
      throw Error(Errc::not_authorised,
                  fmt::format("{} is not a folder, but the leases are below it", path.string()), kElsewhere);
    judge(status, path);
    if (++links_ > kMostLinks) throw Error::from_errno(fmt::format("open {}", path.string()), ELOOP);
    std::string target(PATH_MAX, '\0');
    const auto size = ::readlinkat(at_.get(), name.c_str(), target.data(), target.size());
    if (size < 0) cannot_reach(at_.get(), path_, name, errno);
    target.resize(static_cast<std::size_t>(size));
    if (target.starts_with('/')) from_root();
    enqueue(target);
  }

  void judge(const struct stat& status, const fs::path& path) const {
    if (status.st_uid != 0 && status.st_uid != ::geteuid() && status.st_uid != owner_of_root_)
      refuse_way(path, fmt::format("belongs to {}", user_name(status.st_uid)));
  }

  std::deque<std::string> rest_;
  Fd at_;
  fs::path path_;
  uid_t owner_of_root_ = 0;  // not root in a user namespace
  int links_ = 0;
};

struct CloseFolder {
  void operator()(DIR* folder) const noexcept { ::closedir(folder); }
};

}  // namespace

bool is_roots(const fs::path& path) {
  if (::geteuid() == 0) return false;
  for (auto at = fs::absolute(path); at.has_relative_path(); at = at.parent_path()) {
    struct stat status {};
    if (::lstat(at.c_str(), &status) == 0) return status.st_uid == 0 && S_ISDIR(status.st_mode);
  }
  return false;
}

std::optional<PrivateFolder> PrivateFolder::find(const fs::path& path) { return reach(path, false); }

PrivateFolder PrivateFolder::make(const fs::path& path) {
  for (;;)  // retry when another process removes the folder
    if (auto folder = reach(path, true)) return std::move(*folder);
}

std::optional<PrivateFolder> PrivateFolder::reach(const fs::path& path, bool make) {
  auto whole = fs::absolute(path);
  while (whole.has_relative_path() && (!whole.has_filename() || whole.filename() == "."))
    whole = whole.parent_path();  // of "/x/" and "/x/."
  Walk walk(whole.parent_path());
  if (!walk.go(make)) return std::nullopt;
  return reach_below(walk.take(), walk.path(), whole.filename().string(), make);
}

std::optional<PrivateFolder> PrivateFolder::reach_below(Fd parent, const fs::path& parent_path,
                                                        const std::string& name, bool make) {
  const auto path = parent_path / name;
  if (!is_name(name)) throw Error(Errc::failure, fmt::format("{} names no folder", quote(name)));
  if (make && ::mkdirat(parent.get(), name.c_str(), 0700) != 0 && errno != EEXIST) {
    if (errno == ENOENT) return std::nullopt;
    cannot_reach(parent.get(), parent_path, name, errno);
  }
  const Fd found(::openat(parent.get(), name.c_str(), kFolder));
  if (!found) {
    const int cause = errno;
    if (cause == ENOENT) return std::nullopt;
    struct stat status {};
    if (::fstatat(parent.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(status.st_mode))
      refuse_folder(path, status, fault_of(status, true));
    cannot_reach(parent.get(), parent_path, name, cause);
  }
  const auto status = status_of(found.get(), path);
  if (const auto fault = fault_of(status, true); !fault.empty()) refuse_folder(path, status, fault);
  Fd fd(::openat(found.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return std::nullopt;  // just removed by another process
  if (!fd) cannot_reach(parent.get(), parent_path, name, errno);
  return PrivateFolder(std::move(parent), name, std::move(fd), path);
}

std::optional<PrivateFolder> PrivateFolder::find_folder(const std::string& name) const {
  return reach_below(Fd(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0)), path_, name, false);
}

std::optional<PrivateFolder> PrivateFolder::make_folder(const std::string& name) const {
  return reach_below(Fd(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0)), path_, name, true);
}

std::string PrivateFolder::by_descriptor() const { return fmt::format("/proc/self/fd/{}", fd_.get()); }

bool PrivateFolder::is_there() const noexcept {
  struct stat ours {};
  struct stat named {};
  return ::fstat(fd_.get(), &ours) == 0 &&
         ::fstatat(parent_.get(), name_.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
}

bool PrivateFolder::lock(Deadline deadline) const { return lock_file(fd_.get(), deadline); }

bool PrivateFolder::remove_itself() const noexcept {
  return ::unlinkat(parent_.get(), name_.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT;
}

std::vector<std::string> PrivateFolder::names() const {
  // Uses a separate descriptor, because the listing moves the descriptor's offset.
  Fd fd(::openat(fd_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::unique_ptr<DIR, CloseFolder> folder(fd ? ::fdopendir(fd.get()) : nullptr);
  if (!folder) {
    if (errno == ENOENT) return {};  // just removed by another process
    throw Error::from_errno(fmt::format("read folder {}", path_.string()), errno);
  }
  static_cast<void>(fd.release());
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const auto* const entry = ::readdir(folder.get());
    if (entry == nullptr && errno != 0)
      throw Error::from_errno(fmt::format("read folder {}", path_.string()), errno);
    if (entry == nullptr) return names;
    if (is_name(entry->d_name)) names.emplace_back(entry->d_name);
  }
}

bool PrivateFolder::has(const std::string& name) const noexcept {
  struct stat status {};
  if (!is_name(name) || ::fstatat(fd_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return false;
  return S_ISREG(status.st_mode) && status.st_uid == ::geteuid() && status.st_nlink == 1 &&
         (status.st_mode & 022) == 0;
}

// Returns no descriptor and errno ENOENT also for a file removed during the call.
Fd PrivateFolder::open_file(const std::string& name, int flags) const {
  const auto path = path_ / name;
  struct stat status {};
  const auto refuse = [&](const std::string& fault) {
    throw Error(Errc::not_authorised,
                fmt::format("{} {}: it is not a file of tc-hostnet", path.string(), fault),
                remedy(status, path, false));
  };
  if (!is_name(name))
    throw Error(Errc::not_authorised, fmt::format("{} is not a file name", path.string()), kElsewhere);
  Fd fd(::openat(fd_.get(), name.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600));
  if (!fd) {
    const int cause = errno;
    if (cause == ENOENT) return {};
    // A link (ELOOP), a socket or a FIFO without a reader (ENXIO), a folder (EISDIR).
    if (::fstatat(fd_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0)
      if (const auto fault = fault_of(status, false); !fault.empty()) refuse(fault);
    throw Error::from_errno(fmt::format("open {}", path.string()), cause);
  }
  status = status_of(fd.get(), path);
  if (const auto fault = fault_of(status, false); !fault.empty()) refuse(fault);
  if (status.st_nlink == 0) {
    errno = ENOENT;
    return {};
  }
  return fd;
}

Fd PrivateFolder::open(const std::string& name, int access) const { return open_file(name, access); }

Fd PrivateFolder::open_or_create(const std::string& name, int access) const {
  return open_file(name, access | O_CREAT);
}

Fd PrivateFolder::create(const std::string& name, int access, mode_t mode) const {
  if (!is_name(name)) throw Error(Errc::failure, fmt::format("{} names no file", quote(name)));
  Fd fd(::openat(fd_.get(), name.c_str(), access | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!fd && errno != ENOENT)
    throw Error::from_errno(fmt::format("create {}", (path_ / name).string()), errno);
  return fd;
}

std::optional<std::string> PrivateFolder::read(const std::string& name, std::size_t limit) const {
  const auto fd = open(name, O_RDONLY);
  if (!fd) return std::nullopt;
  try {
    return read_all(fd.get(), limit);
  } catch (const Error& error) {
    throw error.in_context((path_ / name).string());
  }
}

void PrivateFolder::replace(const std::string& name, std::string_view text) const {
  if (!is_name(name)) throw Error(Errc::failure, fmt::format("{} names no file", quote(name)));
  const auto unfinished = name + std::string(kUnfinished);
  if (!remove(unfinished)) static_cast<void>(open(unfinished, O_RDONLY));  // throws the reason
  try {
    replace_file(name, text, 0600, fd_.get());
  } catch (const Error& error) {
    throw error.in_context(path_.string());
  }
}

void PrivateFolder::rename(const std::string& from, const std::string& to) const {
  if (open(from, O_RDONLY) && ::renameat(fd_.get(), from.c_str(), fd_.get(), to.c_str()) == 0) return;
  throw Error::from_errno(fmt::format("rename {}", (path_ / from).string()), errno);
}

bool PrivateFolder::remove(const std::string& name) const noexcept {
  if (!is_name(name)) return false;
  if (has(name) && ::unlinkat(fd_.get(), name.c_str(), 0) == 0) return true;
  struct stat status {};
  return ::fstatat(fd_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;
}

}  // namespace hostnet::state
