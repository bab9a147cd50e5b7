// Opening a container's hosts file: the part of writing the alias that must not be led astray. See alias.hpp.
#pragma once

#include "core/fd.hpp"
#include "engine/alias.hpp"

#include <sys/stat.h>

#include <optional>
#include <string>

namespace hostnet::engine {

/// A file held by O_PATH: known, and not yet opened in the sense of having an effect.
struct HeldFile {
  Fd fd;
  struct stat status {};
  [[nodiscard]] bool same_as(const HeldFile& other) const {
    return status.st_dev == other.status.st_dev && status.st_ino == other.status.st_ino;
  }
};

/// A regular file on this host, not through a symbolic link at its end; nullopt when there is none.
/// @throws Error other than for ENOENT, ENOTDIR and (a link or another kind of file) ELOOP.
std::optional<HeldFile> hold_host_file(const std::string& path);

/// /etc/hosts as the process sees it; nullopt when the process has gone, is not the one that started at
/// `start`, or its file system has none.
/// @throws Error: not_authorised, conflict when it is a symbolic link or not a regular file, failure.
std::optional<HeldFile> hold_container_hosts(pid_t pid, std::uint64_t start);

/// Opens what is held, with `flags` (O_RDWR, O_APPEND). An empty Fd for a read-only mount. @throws Error.
Fd open_held(const HeldFile& file, int flags);

}  // namespace hostnet::engine
