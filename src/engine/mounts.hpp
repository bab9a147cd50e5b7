// The mounts of a process's namespace: on what kind of file system a file is, without asking that file
// system. statfs(2) would ask it, and a file system that a program serves (FUSE) answers when that program
// likes.
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

/// The lines of /proc/PID/mountinfo; those that are none are left out. Pure.
std::vector<Mount> parse_mounts(std::string_view mountinfo);

/// Whether a program outside the kernel answers for such a file system. Pure.
bool is_served_by_program(std::string_view type);

/// The mount on which an open descriptor of this process stands (also one of O_PATH); nullopt when the kernel
/// does not say. Asks no file system but proc.
std::optional<std::uint64_t> mount_of(int fd);

}  // namespace hostnet::engine
