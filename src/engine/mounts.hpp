// The mounts of a process's mount namespace: they give the type of the file system that a file is on without
// a request to it. statfs(2) would send one, and a file system served by a program (FUSE) may never answer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::engine {

struct Mount {
  std::uint64_t id = 0;
  std::string point;  ///< As the process sees it.
  std::string type;   ///< "ext4", "overlay", "fuse.sshfs"
  bool operator==(const Mount&) const = default;
};

/// Parses /proc/PID/mountinfo and skips malformed lines. Pure.
std::vector<Mount> parse_mounts(std::string_view mountinfo);

/// Whether a program outside the kernel serves this type of file system. Pure.
bool is_served_by_program(std::string_view type);

/// The mount id of an open descriptor of this process (also an O_PATH one); nullopt if the kernel does not
/// report it. Queries no file system but proc.
std::optional<std::uint64_t> mount_of(int fd);

}  // namespace hostnet::engine
