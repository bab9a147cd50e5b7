// openat2 and O_PATH.
#include "engine/container_file.hpp"

#include "core/file.hpp"
#include "hostnet/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/openat2.h>

#include <cerrno>

namespace hostnet::engine {
namespace {

HeldFile hold(Fd fd, const std::string& name) {
  HeldFile file{.fd = std::move(fd)};
  if (::fstat(file.fd.get(), &file.status) != 0) throw Error::from_errno("fstat " + name, errno);
  return file;
}

// Whether the process that started then is still there. It may die while its stat file is read.
bool is_alive(pid_t pid, std::uint64_t start) {
  try {
    return process_start_time(pid) == start;
  } catch (const Error& error) {
    if (error.sys_errno() == ESRCH) return false;
    throw;
  }
}

}  // namespace

std::optional<HeldFile> hold_host_file(const std::string& path) {
  Fd fd(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!fd && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) return std::nullopt;
  if (!fd) throw Error::from_errno("open " + path, errno);
  auto file = hold(std::move(fd), path);
  if (!S_ISREG(file.status.st_mode)) return std::nullopt;  // O_PATH with O_NOFOLLOW holds a link itself
  return file;
}

std::optional<HeldFile> hold_container_hosts(pid_t pid, std::uint64_t start) {
  const auto root_path = fmt::format("/proc/{}/root", pid);
  if (!is_alive(pid, start)) return std::nullopt;
  const Fd root(::open(root_path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root && (errno == ENOENT || errno == ESRCH)) return std::nullopt;
  if (!root) throw Error::from_errno("open " + root_path, errno);
  if (!is_alive(pid, start)) return std::nullopt;

  const auto name = root_path + "/etc/hosts";
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  Fd fd(static_cast<int>(::syscall(SYS_openat2, root.get(), "etc/hosts", &how, sizeof how)));
  if (!fd && (errno == ENOENT || errno == ENOTDIR)) return std::nullopt;
  if (!fd && errno == ELOOP)
    throw Error(Errc::conflict, name + " is reached through a symbolic link, which is not followed", {},
                ELOOP);
  if (!fd) throw Error::from_errno("open " + name, errno);
  auto file = hold(std::move(fd), name);
  if (!S_ISREG(file.status.st_mode)) throw Error(Errc::conflict, name + " is not a regular file");
  return file;
}

Fd open_held(const HeldFile& file, int flags) {
  // Through the descriptor, so that what is opened is what was looked at, and by the mount that it was found
  // on.
  const auto link = fmt::format("/proc/self/fd/{}", file.fd.get());
  Fd fd(::open(link.c_str(), flags | O_CLOEXEC | O_NOCTTY));
  if (!fd && errno != EROFS) throw Error::from_errno("open the container's hosts file", errno);
  return fd;
}

}  // namespace hostnet::engine
