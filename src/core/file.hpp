// Whole files in and out, and what /proc tells of a process and of this boot.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"

#include <fcntl.h>
#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace hostnet {

/// The whole of a file, at most `limit` bytes. @throws Error with errno, also when the file is larger.
std::string read_file(const std::filesystem::path& path, std::size_t limit = 64U << 20);

/// read_file(), or nullopt when it cannot be opened, and for /proc's of a process that ends meanwhile
/// (ESRCH).
std::optional<std::string> try_read_file(const std::filesystem::path& path);

/// Everything from the descriptor's position to its end, at most `limit` bytes. @throws Error.
std::string read_all(int fd, std::size_t limit);

/// Writes all of `data`, going on after short writes. @throws Error.
void write_all(int fd, std::string_view data);

/// Replaces the file in one step (PATH.new, which must not be there, renamed over it): a reader sees the old
/// text or the new. A relative path starts at `folder`. @throws Error; the old file is untouched then.
void replace_file(const std::filesystem::path& path, std::string_view text, mode_t mode,
                  int folder = AT_FDCWD);

/// Takes flock(2) LOCK_EX on an open file, waiting until the deadline. @return false when that passed.
/// @throws Error.
bool lock_file(int fd, Deadline deadline);

/// What proc(5) tells of a process in /proc/PID/stat.
struct ProcessStat {
  char state = 0;           ///< Field 3: 'R', 'S', … 'Z' once its main thread has ended.
  std::uint64_t start = 0;  ///< Field 22: when it started, in clock ticks after boot.
};

/// nullopt when there is no such process.
std::optional<ProcessStat> process_stat(pid_t pid);

/// process_stat()'s start: tells a process from a later one with its pid.
std::optional<std::uint64_t> process_start_time(pid_t pid);

/// The name of a process (/proc/PID/comm), for people: the pid may be another process's by now. Empty when
/// there is no such process.
std::string command_of(pid_t pid);

/// The kernel's name for the time from this boot to the next. @throws Error.
std::string boot_id();

}  // namespace hostnet
