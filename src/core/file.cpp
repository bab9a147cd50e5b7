// Reads and writes whole files, and parses files of /proc.
#include "core/file.hpp"

#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <thread>

namespace hostnet {

std::string read_all(int fd, std::size_t limit) {
  std::string out;
  std::array<char, 16384> buffer;
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error::from_errno("read", errno);
    if (got == 0) return out;
    out.append(buffer.data(), static_cast<std::size_t>(got));
    if (out.size() > limit)
      throw Error(Errc::failure, fmt::format("more than {} bytes to read", limit), {}, EFBIG);
  }
}

std::string read_file(const std::filesystem::path& path, std::size_t limit) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) throw Error::from_errno(fmt::format("open {}", path.string()), errno);
  try {
    return read_all(fd.get(), limit);
  } catch (const Error& error) {
    throw error.in_context(path.string());
  }
}

std::optional<std::string> try_read_file(const std::filesystem::path& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  try {
    return read_all(fd.get(), 64U << 20);
  } catch (const Error& error) {
    if (error.sys_errno() == ESRCH) return std::nullopt;  // a /proc file of a process that has ended
    throw;
  }
}

void write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t put = ::write(fd, data.data(), data.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) throw Error::from_errno("write", errno);
    data.remove_prefix(static_cast<std::size_t>(put));
  }
}

void replace_file(const std::filesystem::path& path, std::string_view text, mode_t mode, int folder) {
  const std::string fresh = path.string() + ".new";
  Fd fd(::openat(folder, fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!fd) throw Error::from_errno(fmt::format("create {}", fresh), errno);
  try {
    write_all(fd.get(), text);
  } catch (const Error& error) {
    ::unlinkat(folder, fresh.c_str(), 0);
    throw error.in_context(fresh);
  }
  if (::renameat(folder, fresh.c_str(), folder, path.c_str()) != 0) {
    const int cause = errno;
    ::unlinkat(folder, fresh.c_str(), 0);
    throw Error::from_errno(fmt::format("rename {} to {}", fresh, path.string()), cause);
  }
}

bool lock_file(int fd, Deadline deadline) {
  using std::chrono::milliseconds;
  // flock() has no timeout. The pauses grow so that a long wait costs little.
  for (auto pause = milliseconds{1};; pause = std::min(pause * 2, milliseconds{20})) {
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return true;
    if (errno != EWOULDBLOCK && errno != EINTR) throw Error::from_errno("flock", errno);
    if (deadline.expired()) return false;
    std::this_thread::sleep_for(std::min(pause, deadline.remaining()));
  }
}

std::optional<ProcessStat> process_stat(pid_t pid) {
  const auto stat = try_read_file(fmt::format("/proc/{}/stat", pid));
  if (!stat) return std::nullopt;
  // Field 2, the command name, is in parentheses and may itself contain blanks and parentheses.
  const auto name_end = stat->rfind(')');
  if (name_end == std::string::npos || name_end + 2 >= stat->size()) return std::nullopt;
  const auto fields = split(std::string_view(*stat).substr(name_end + 2), ' ');
  constexpr std::size_t flags = 9 - 3;  // field 3 is the first after the name
  constexpr std::size_t start_time = 22 - 3;
  if (fields.size() <= start_time || fields.front().empty()) return std::nullopt;
  const auto start = parse_number(fields[start_time], UINT64_MAX);
  const auto bits = parse_number(fields[flags], UINT64_MAX);
  if (!start || !bits) return std::nullopt;
  const char state = fields.front().front();
  constexpr std::uint64_t exiting = 0x4;  // the kernel's PF_EXITING
  return ProcessStat{state, *start, state == 'Z' || state == 'X' || (*bits & exiting) != 0};
}

std::optional<std::uint64_t> process_start_time(pid_t pid) {
  const auto stat = process_stat(pid);
  return stat ? std::optional(stat->start) : std::nullopt;
}

std::string command_of(pid_t pid) {
  return trim(try_read_file(fmt::format("/proc/{}/comm", pid)).value_or(""));
}

std::optional<std::string> boot_id() {
  const auto text = try_read_file("/proc/sys/kernel/random/boot_id");
  return text ? std::optional<std::string>(trim(*text)) : std::nullopt;
}

}  // namespace hostnet
