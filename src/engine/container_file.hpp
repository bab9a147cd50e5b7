// Opens a container's hosts file: the part of writing the alias that the container must not be able to
// mislead or delay. See alias.hpp.
#pragma once

#include "core/fd.hpp"
#include "engine/alias.hpp"

#include <sys/types.h>

#include <optional>
#include <string>

namespace hostnet::engine {

/// What a walk along a path may query.
enum class Walk {
  cached,  ///< Nothing: only names that the kernel has in memory and considers valid.
  any,     ///< The file systems on the way. Only in a process that can be abandoned (core/apart.hpp).
};

/// A file held by O_PATH: identified, but not opened in a way that can block or act.
struct HeldFile {
  Fd fd;
  FileId id;
  mode_t mode = 0;
  std::uint64_t links = 0;
  bool served = false;  ///< By a program outside the kernel, which might never answer (FUSE).
  [[nodiscard]] bool same_as(const HeldFile& other) const { return id == other.id; }
};

/// A regular file on this host; nullopt if there is none, or if the last component is a symbolic link or no
/// regular file.
/// @throws Error for any errno except ENOENT, ENOTDIR and ELOOP; with EAGAIN when a cached walk does not
/// reach the file.
std::optional<HeldFile> hold_host_file(const std::string& path, Walk walk);

/// /etc/hosts as the process sees it; nullopt when the process is gone, did not start at `start`, or has no
/// such file.
/// @throws Error: not_authorised, conflict when it is a symbolic link, not a regular file or served by a
/// program, failure; with EAGAIN when a cached walk does not reach the file.
std::optional<HeldFile> hold_container_hosts(pid_t pid, std::uint64_t start, Walk walk);

/// Opens the held file with `flags` (O_RDWR, O_APPEND), without blocking. Returns an empty Fd on a read-only
/// mount. @throws Error: conflict when a program serves the file; timed_out with EAGAIN when another process
/// holds a lease on it (fcntl(2)).
Fd open_held(const HeldFile& file, int flags);

}  // namespace hostnet::engine
