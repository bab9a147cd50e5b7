// Adds and removes our line in place, by the deadline.
#include "engine/alias.hpp"

#include "core/file.hpp"
#include "core/printable.hpp"
#include "core/strings.hpp"
#include "engine/alias_parts.hpp"
#include "hostnet/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>

namespace hostnet::engine {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPause{5};  // between attempts to open a leased file, doubled each time
constexpr milliseconds kLongestPause{100};

// Throws unless the file is the one that the engine made for this container. `on_host` is HostsPath.
void check_is_the_engines(const HeldFile& file, const std::optional<HeldFile>& on_host,
                          const AliasRecord& record) {
  const auto machine = hold_host_file("/etc/hosts", Walk::any);
  if ((on_host && !file.same_as(*on_host)) || (machine && file.same_as(*machine)))
    throw mounted_by_user(called(record));
  if (record.file.is_known() && file.id != record.file)
    throw Error(Errc::conflict, fmt::format("the hosts file of container {} is not the one that the lease "
                                            "recorded",
                                            called(record)));
  if (file.links > 1)
    throw Error(Errc::conflict,
                fmt::format("the hosts file of container {} has a second name (hard link), so it may "
                            "not be the container's alone",
                            called(record)),
                std::string(kByHand));
}

Fd open_in_time(const HeldFile& file, int flags, Deadline deadline) {
  for (auto pause = kPause;; pause = std::min(pause * 2, kLongestPause)) {
    try {
      return open_held(file, flags);
    } catch (const Error& error) {
      if (error.sys_errno() != EAGAIN || deadline.expired()) throw;
    }
    std::this_thread::sleep_for(std::min(pause, deadline.remaining()));
  }
}

// Bounded: a process in the container that can open the file can lock it for ever.
void lock_hosts(int file, Deadline deadline) {
  if (!lock_file(file, deadline))
    throw Error(Errc::timed_out, "another process keeps the container's hosts file locked", {}, EAGAIN);
}

// Opens the file through the container's mount, or through the host's path to the same inode if that mount is
// read-only. Then locks it.
Fd open_locked(const HeldFile& file, const std::optional<HeldFile>& on_host, int flags, Deadline deadline) {
  Fd fd = open_in_time(file, flags, deadline);
  if (!fd && on_host && on_host->same_as(file)) fd = open_in_time(*on_host, flags, deadline);
  if (!fd)
    throw Error(Errc::failure, "the container's hosts file is on a read-only file system",
                std::string(kByHand), EROFS);
  lock_hosts(fd.get(), deadline);
  return fd;
}

void put_at(int file, std::string_view text, std::size_t offset) {
  while (!text.empty()) {
    const ssize_t put = ::pwrite(file, text.data(), text.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) throw Error::from_errno("write the container's hosts file", errno);
    text.remove_prefix(static_cast<std::size_t>(put));
    offset += static_cast<std::size_t>(put);
  }
}

// `file` is open with O_APPEND, and positioned at its beginning.
AliasResult add_line(int file, std::string_view container, std::string_view alias, Ip address,
                     std::string_view lease, std::span<const Ipv4> as_good,
                     std::span<const std::string> beside) {
  const auto before = read_all(file, kLargestHostsFile);
  if (const auto others = definition_by_others(before, alias, lease, beside)) {
    const auto given = Ip::parse(others->address);
    const bool good =
        given && (*given == address || std::ranges::find(as_good, given->ipv4()) != as_good.end());
    if (!good) throw already_defined(alias, container, *others);
    if (others->lease.empty()) return AliasResult::already_there;
  }
  const auto after = with_alias(before, alias, address, lease);
  write_all(file, std::string_view(after).substr(before.size()));
  return AliasResult::written;
}

// `file` is open without O_APPEND.
void change(int file, const std::string& before, const std::string& after) {
  if (after == before) return;
  // Writes from the first differing byte on: if our line is the last one, the file is only cut.
  const auto differs = std::ranges::mismatch(before, after).in2;
  put_at(file, std::string_view(differs, after.end()), static_cast<std::size_t>(differs - after.begin()));
  if (::ftruncate(file, static_cast<off_t>(after.size())) != 0)
    throw Error::from_errno("shorten the container's hosts file", errno);
}

// A file that stays open afterwards: locks it, at its beginning and with this flag, while the object lives.
class LockedHosts {
 public:
  LockedHosts(int file, int flag, Deadline deadline) : file_(file) {
    if (::fcntl(file, F_SETFL, flag) != 0 || ::lseek(file, 0, SEEK_SET) != 0)
      throw Error::from_errno("use the container's hosts file", errno);
    lock_hosts(file, deadline);
  }
  LockedHosts(const LockedHosts&) = delete;
  LockedHosts& operator=(const LockedHosts&) = delete;
  ~LockedHosts() { ::flock(file_, LOCK_UN); }

 private:
  int file_;
};

}  // namespace

std::string called(const AliasRecord& record) {
  return record.name.empty() ? record.container.substr(0, 12) : printable(beginning(record.name, 80));
}

Error already_defined(std::string_view alias, std::string_view container, const Definition& by) {
  const auto what = fmt::format("host port exposure: {} is already defined in container {}, as {}", alias,
                                container, quote(by.address));
  if (by.lease.empty()) return {Errc::conflict, what, std::string(kByHand)};
  return {Errc::conflict, fmt::format("{} by lease {}", what, by.lease),
          "release that lease first, or request all the ports in one lease"};
}

AliasResult write_alias(const AliasRecord& record, std::string_view alias, Ip address, std::string_view lease,
                        std::span<const Ipv4> as_good, Deadline deadline, std::span<const std::string> beside,
                        std::optional<Ip> bare) {
  const auto file = hold_hosts(record, Walk::any);
  if (!file)
    throw Error(Errc::not_found,
                fmt::format("container {} has stopped or has no hosts file", called(record)));
  const auto on_host = hold_hosts_path(record, Walk::any);
  check_is_the_engines(*file, on_host, record);

  if (bare) {
    const Fd anew = open_locked(*file, on_host, O_RDWR, deadline);
    const auto before = read_all(anew.get(), kLargestHostsFile);
    change(anew.get(), before, with_marks(before, alias, *bare, lease));
  }
  const Fd fd = open_locked(*file, on_host, O_RDWR | O_APPEND, deadline);
  return add_line(fd.get(), called(record), alias, address, lease, as_good, beside);
}

void remove_alias(const AliasRecord& record, std::string_view lease, Deadline deadline,
                  std::string_view alias, std::optional<Ip> bare) {
  const auto remove_lines = [&](const Fd& file) {
    const auto before = read_all(file.get(), kLargestHostsFile);
    change(file.get(), before, without_alias(bare ? with_marks(before, alias, *bare, lease) : before, lease));
  };
  const auto on_host = hold_hosts_path(record, Walk::any);
  try {
    if (const auto file = hold_hosts(record, Walk::any)) {
      check_is_the_engines(*file, on_host, record);
      return remove_lines(open_locked(*file, on_host, O_RDWR, deadline));
    }
  } catch (const Error& error) {
    if (error.code() != Errc::conflict || !on_host) throw;
  }
  // The container is gone or has another file there. Its own file may still exist at HostsPath.
  if (!on_host || on_host->id != record.file) return;
  check_is_the_engines(*on_host, on_host, record);
  remove_lines(open_locked(*on_host, on_host, O_RDWR, deadline));
}

AliasResult write_alias_to(int file, std::string_view container, std::string_view alias, Ip address,
                           std::string_view lease, Deadline deadline) {
  const LockedHosts locked(file, O_APPEND, deadline);
  return add_line(file, container, alias, address, lease, {}, {});
}

void remove_alias_from(int file, std::string_view lease, Deadline deadline) {
  const LockedHosts locked(file, 0, deadline);
  const auto before = read_all(file, kLargestHostsFile);
  change(file, before, without_alias(before, lease));
}

bool may_remove_alias(const AliasRecord& record) {
  const Fd root(::open(fmt::format("/proc/{}/root", record.pid).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  return root || (errno != EACCES && errno != EPERM);
}

}  // namespace hostnet::engine
