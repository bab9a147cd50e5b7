// Opening a container's hosts file: the part of writing the alias that must not be led astray, nor be kept
// waiting. See alias.hpp.
#pragma once

#include "core/fd.hpp"
#include "engine/alias.hpp"

#include <sys/types.h>

#include <optional>
#include <string>

namespace hostnet::engine {

/// What may be asked on the way along a path.
enum class Walk {
  cached,  ///< Nothing: only names that the kernel has in memory, and holds for true.
  any,     ///< The file systems on the way. Only in a process that can be given up (core/apart.hpp).
};

/// A file held by O_PATH: known, and not yet opened in the sense of having an effect.
struct HeldFile {
  Fd fd;
  FileId id;
  mode_t mode = 0;
  std::uint64_t links = 0;
  bool served = false;  ///< By a program outside the kernel, which need never answer (FUSE).
  [[nodiscard]] bool same_as(const HeldFile& other) const { return id == other.id; }
};

/// A regular file on this host, not through a symbolic link at its end; nullopt when there is none.
/// @throws Error other than for ENOENT, ENOTDIR and (a link or another kind of file) ELOOP; with EAGAIN when
/// a cached walk does not lead there.
std::optional<HeldFile> hold_host_file(const std::string& path, Walk walk);

/// /etc/hosts as the process sees it; nullopt when the process has gone, is not the one that started at
/// `start`, or its file system has none.
/// @throws Error: not_authorised, conflict when it is a symbolic link, not a regular file or served by a
/// program, failure; with EAGAIN when a cached walk does not lead there.
std::optional<HeldFile> hold_container_hosts(pid_t pid, std::uint64_t start, Walk walk);

/// Opens what is held, with `flags` (O_RDWR, O_APPEND), and waits for nobody. An empty Fd for a read-only
/// mount. @throws Error: conflict when a program serves it; with EAGAIN when another process has a lease on
/// it (fcntl(2)) that it has not given back.
Fd open_held(const HeldFile& file, int flags);

}  // namespace hostnet::engine
