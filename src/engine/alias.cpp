// Adding and removing our line in place.
#include "engine/alias.hpp"

#include "core/deadline.hpp"
#include "core/file.hpp"
#include "core/strings.hpp"
#include "engine/container_file.hpp"
#include "hostnet/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace hostnet::engine {
namespace {

constexpr std::size_t kLargestHostsFile = 4U << 20;
constexpr std::string_view kByHand =
    "leave the container's hosts file alone with --no-alias, and name the address there";

// For a message: what `docker ps` shows.
std::string short_id(const std::string& id) { return id.substr(0, 12); }

std::optional<HeldFile> hold_hosts_path(const AliasRecord& record) {
  return record.hosts_path.empty() ? std::nullopt : hold_host_file(record.hosts_path);
}

bool cgroup_names(pid_t pid, std::string_view container) {
  const auto cgroups = try_read_file(fmt::format("/proc/{}/cgroup", pid));
  return cgroups && !container.empty() && cgroups->find(container) != std::string::npos;
}

Error mounted_by_user(const std::string& id) {
  return {Errc::conflict,
          fmt::format("the hosts file of container {} is a file that its user mounted there", short_id(id)),
          std::string(kByHand)};
}

// The file may be changed: it is the one that the engine made for this container. `on_host` is HostsPath.
void check_is_the_engines(const HeldFile& file, const std::optional<HeldFile>& on_host,
                          const AliasRecord& record) {
  const auto machine = hold_host_file("/etc/hosts");
  if ((on_host && !file.same_as(*on_host)) || (machine && file.same_as(*machine)))
    throw mounted_by_user(record.container);
}

// Opened by the container's mount, or where that is read-only by the host's path to the same inode; then
// locked.
Fd open_locked(const HeldFile& file, const std::optional<HeldFile>& on_host, int flags) {
  Fd fd = open_held(file, flags);
  if (!fd && on_host && on_host->same_as(file)) fd = open_held(*on_host, flags);
  if (!fd)
    throw Error(Errc::failure, "the container's hosts file is on a read-only file system",
                std::string(kByHand), EROFS);
  // Bounded: whoever can open the file in the container can hold a lock on it for ever.
  if (!lock_file(fd.get(), Deadline::after(std::chrono::seconds{2})))
    throw Error(Errc::timed_out, "another process keeps the container's hosts file locked");
  return fd;
}

void put_at(const Fd& file, std::string_view text, std::size_t offset) {
  while (!text.empty()) {
    const ssize_t put = ::pwrite(file.get(), text.data(), text.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) throw Error::from_errno("write the container's hosts file", errno);
    text.remove_prefix(static_cast<std::size_t>(put));
    offset += static_cast<std::size_t>(put);
  }
}

void remove_lines(const Fd& file, std::string_view lease) {
  const auto before = read_all(file.get(), kLargestHostsFile);
  const auto after = without_alias(before, lease);
  if (after == before) return;
  // Only from the first byte that differs: where our line is the last, the file is cut and nothing is
  // rewritten.
  const auto differs = std::ranges::mismatch(before, after).in2;
  put_at(file, std::string_view(differs, after.end()), static_cast<std::size_t>(differs - after.begin()));
  if (::ftruncate(file.get(), static_cast<off_t>(after.size())) != 0)
    throw Error::from_errno("shorten the container's hosts file", errno);
}

}  // namespace

AliasRecord alias_record(const Container& container) {
  if (!container.running)
    throw Error(Errc::conflict, fmt::format("container {} does not run", quote(container.name)),
                "start it first");
  if (container.hosts_mounted) throw mounted_by_user(container.id);
  AliasRecord record{container.id, container.pid, 0, container.hosts_path};
  const auto elsewhere = [&](std::string_view why) {
    return Error(Errc::not_found,
                 fmt::format("container {} has no process on this machine: {}", quote(container.name), why),
                 "where the engine runs in a virtual machine, give the alias with --add-host when the "
                 "container is made");
  };
  const auto start = process_start_time(record.pid);
  if (!start) throw elsewhere(fmt::format("there is no process {}", record.pid));
  record.pid_start = *start;
  if (cgroup_names(record.pid, record.container)) return record;
  const auto on_host = hold_hosts_path(record);
  const auto in_container = on_host ? hold_container_hosts(record.pid, record.pid_start) : std::nullopt;
  if (!in_container || !in_container->same_as(*on_host))
    throw elsewhere(fmt::format("process {} is another one", record.pid));
  return record;
}

Error already_defined(std::string_view alias, std::string_view container, const Definition& by) {
  const auto what = fmt::format("host port exposure: {} is already defined in container {}, as {}", alias,
                                container.substr(0, 12), quote(by.address));
  if (by.lease.empty()) return {Errc::conflict, what, std::string(kByHand)};
  return {Errc::conflict, fmt::format("{} by lease {}", what, by.lease),
          "release that lease first, or ask for all the ports at once"};
}

AliasResult write_alias(const AliasRecord& record, std::string_view alias, Ipv4 address,
                        std::string_view lease, std::span<const Ipv4> as_good) {
  const auto file = hold_container_hosts(record.pid, record.pid_start);
  if (!file)
    throw Error(Errc::not_found,
                fmt::format("container {} has stopped or has no hosts file", short_id(record.container)));
  const auto on_host = hold_hosts_path(record);
  check_is_the_engines(*file, on_host, record);

  const Fd fd = open_locked(*file, on_host, O_RDWR | O_APPEND);
  const auto before = read_all(fd.get(), kLargestHostsFile);
  if (const auto others = definition_by_others(before, alias, lease)) {
    const auto given = Ipv4::parse(others->address);
    const bool good = given && (*given == address || std::ranges::find(as_good, *given) != as_good.end());
    if (!good) throw already_defined(alias, record.container, *others);
    if (others->lease.empty()) return AliasResult::already_there;
  }
  const auto after = with_alias(before, alias, address, lease);
  write_all(fd.get(), std::string_view(after).substr(before.size()));
  return AliasResult::written;
}

void remove_alias(const AliasRecord& record, std::string_view lease) {
  const auto on_host = hold_hosts_path(record);
  auto file = hold_container_hosts(record.pid, record.pid_start);
  if (file) {
    remove_lines(open_locked(*file, on_host, O_RDWR), lease);
  } else if (on_host) {
    remove_lines(open_locked(*on_host, on_host, O_RDWR), lease);
  }
}

bool may_remove_alias(const AliasRecord& record) {
  try {
    hold_container_hosts(record.pid, record.pid_start);
  } catch (const Error& error) {
    return error.code() != Errc::not_authorised;
  }
  return true;
}

}  // namespace hostnet::engine
