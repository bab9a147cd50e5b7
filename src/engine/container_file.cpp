// Uses openat2(2) and O_PATH, and sends no request to a file system that might never answer.
//
// RESOLVE_CACHED walks only along names that the kernel has in memory. A container's hosts file is usually a
// mount, and a mount keeps all names on its path in memory, so the cached walk succeeds. Otherwise the
// container's list of mounts shows the file systems on the way: the walk follows no links, so these are the
// ones of /, /etc and /etc/hosts. If a program serves one of them, the walk does not start. statx(2) with
// AT_STATX_DONT_SYNC reads what the kernel has cached of the inode.
#include "engine/container_file.hpp"

#include "core/file.hpp"
#include "engine/mounts.hpp"
#include "hostnet/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/openat2.h>

#include <algorithm>
#include <cerrno>

namespace hostnet::engine {
namespace {

constexpr int kTries = 5;  // a cached walk also fails when names change at the same moment

Error served_by_program(const std::string& name) {
  return {Errc::conflict,
          name + " is on a file system that a program serves (FUSE), which might never answer"};
}

std::vector<Mount> mounts_of(const std::string& process) {
  return parse_mounts(try_read_file(fmt::format("/proc/{}/mountinfo", process)).value_or(""));
}

HeldFile hold(Fd fd, const std::string& name, const std::string& process) {
  struct statx status {};
  if (::statx(fd.get(), "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &status) != 0)
    throw Error::from_errno("statx " + name, errno);
  HeldFile file;
  file.id = {makedev(status.stx_dev_major, status.stx_dev_minor), status.stx_ino};
  file.mode = status.stx_mode;
  file.links = status.stx_nlink;
  // The descriptor keeps the mount and its id alive. An id that is in no list belongs to a mount that has
  // just been detached: its type is unknown, so count it as served.
  const auto id = mount_of(fd.get());
  const auto mounts = mounts_of(process);
  const auto mount = id ? std::ranges::find(mounts, *id, &Mount::id) : mounts.end();
  file.served = mount == mounts.end() || is_served_by_program(mount->type);
  file.fd = std::move(fd);
  return file;
}

// Whether the process with this start time still exists.
bool is_alive(pid_t pid, std::uint64_t start) { return process_start_time(pid) == start; }

// On failure an empty Fd, with errno of the last try.
Fd open_path(int folder, const char* path, std::uint64_t flags, std::uint64_t resolve) {
  open_how how{};
  how.flags = flags | O_PATH | O_CLOEXEC;
  how.resolve = resolve;
  Fd fd;
  for (int i = 0; !fd && i < kTries; ++i) {
    fd.reset(static_cast<int>(::syscall(SYS_openat2, folder, path, &how, sizeof how)));
    if (!fd && errno == EINVAL && (resolve & RESOLVE_CACHED) != 0) errno = EAGAIN;  // before Linux 5.12
    if (!fd && errno != EAGAIN) break;
  }
  return fd;
}

}  // namespace

std::optional<HeldFile> hold_host_file(const std::string& path, Walk walk) {
  auto fd = open_path(AT_FDCWD, path.c_str(), O_NOFOLLOW, RESOLVE_NO_MAGICLINKS | RESOLVE_CACHED);
  if (!fd && errno == EAGAIN && walk == Walk::any)
    fd = open_path(AT_FDCWD, path.c_str(), O_NOFOLLOW, RESOLVE_NO_MAGICLINKS);
  if (!fd && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) return std::nullopt;
  if (!fd) throw Error::from_errno("open " + path, errno);
  auto file = hold(std::move(fd), path, "self");
  if (!S_ISREG(file.mode)) return std::nullopt;  // O_PATH with O_NOFOLLOW holds a link itself
  return file;
}

std::optional<HeldFile> hold_container_hosts(pid_t pid, std::uint64_t start, Walk walk) {
  const auto root_path = fmt::format("/proc/{}/root", pid);
  if (!is_alive(pid, start)) return std::nullopt;
  const Fd root(::open(root_path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root && (errno == ENOENT || errno == ESRCH)) return std::nullopt;
  if (!root) throw Error::from_errno("open " + root_path, errno);
  if (!is_alive(pid, start)) return std::nullopt;

  const auto name = root_path + "/etc/hosts";
  constexpr std::uint64_t below = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  auto fd = open_path(root.get(), "etc/hosts", 0, below | RESOLVE_CACHED);
  if (!fd && errno == EAGAIN) {
    const bool is_served = std::ranges::any_of(mounts_of(std::to_string(pid)), [](const Mount& mount) {
      return (mount.point == "/" || mount.point == "/etc" || mount.point == "/etc/hosts") &&
             is_served_by_program(mount.type);
    });
    if (is_served) throw served_by_program(name);
    errno = EAGAIN;
    if (walk == Walk::any) fd = open_path(root.get(), "etc/hosts", 0, below);
  }
  if (!fd && (errno == ENOENT || errno == ENOTDIR)) return std::nullopt;
  if (!fd && errno == ELOOP)
    throw Error(Errc::conflict, name + " is reached through a symbolic link, which is not followed", {},
                ELOOP);
  // EACCES in the container is no lack of our privileges either: a FUSE file system refuses even root.
  if (!fd) throw Error(Errc::failure, Error::from_errno("open " + name, errno).what(), {}, errno);
  auto file = hold(std::move(fd), name, std::to_string(pid));
  if (!S_ISREG(file.mode)) throw Error(Errc::conflict, name + " is not a regular file");
  if (file.served) throw served_by_program(name);
  return file;
}

Fd open_held(const HeldFile& file, int flags) {
  if (file.served) throw served_by_program("the container's hosts file");
  // Through the descriptor: this opens the checked inode, by the mount that it was found on. O_NONBLOCK:
  // another process's lease delays the open(2) of a regular file, for 45 seconds by default.
  const auto link = fmt::format("/proc/self/fd/{}", file.fd.get());
  Fd fd(::open(link.c_str(), flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (!fd && errno == EAGAIN)
    throw Error(Errc::timed_out, "another process holds a lease on the container's hosts file", {}, EAGAIN);
  if (!fd && errno != EROFS) throw Error::from_errno("open the container's hosts file", errno);
  return fd;
}

}  // namespace hostnet::engine
