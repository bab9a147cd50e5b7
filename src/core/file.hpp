// Reads and writes whole files, and reads /proc about a process and this boot.
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

/// Reads a whole file of at most `limit` bytes. @throws Error with errno; EFBIG when the file is larger.
std::string read_file(const std::filesystem::path& path, std::size_t limit = 64U << 20);

/// read_file(), but nullopt when the file cannot be opened, or is a /proc file of a process that has ended
/// (ESRCH).
std::optional<std::string> try_read_file(const std::filesystem::path& path);

/// Reads from the descriptor's position to its end, at most `limit` bytes. @throws Error.
std::string read_all(int fd, std::size_t limit);

/// Writes all of `data`, continuing after short writes. @throws Error.
void write_all(int fd, std::string_view data);

/// Replaces the file atomically: writes PATH.new, which must not exist, and renames it. A reader sees the old
/// text or the new. A relative path starts at `folder`. @throws Error; the old file is then untouched.
void replace_file(const std::filesystem::path& path, std::string_view text, mode_t mode,
                  int folder = AT_FDCWD);

/// Takes flock(2) LOCK_EX on an open file, polling until the deadline. @return false at the deadline.
/// @throws Error.
bool lock_file(int fd, Deadline deadline);

/// Fields of /proc/PID/stat, proc(5).
struct ProcessStat {
  char state = 0;           ///< Field 3: 'R', 'S', … 'Z' once its main thread has ended.
  std::uint64_t start = 0;  ///< Field 22: start time, in clock ticks after boot.
  /// Whether its main thread has ended, or is about to (PF_EXITING of field 9): its root and its namespaces may be
  /// gone by then, a moment before a pidfd tells.
  bool ending = false;
};

/// nullopt when there is no such process.
std::optional<ProcessStat> process_stat(pid_t pid);

/// process_stat()'s start. It distinguishes a process from a later one with the same pid.
std::optional<std::uint64_t> process_start_time(pid_t pid);

/// The process's name (/proc/PID/comm), for display only: the pid may belong to another process by now. Empty
/// when there is no such process.
std::string command_of(pid_t pid);

/// The kernel's random id of this boot; nullopt when it gives none, as in some sandboxes.
std::optional<std::string> boot_id();

}  // namespace hostnet
