// Finds listeners: here, and in the other network namespaces of this machine, with their process and its
// container. Reads /proc and /run/netns; one thread enters each namespace in turn, for kSearchSpan in all.
#include "cli/doctor/gather.hpp"
#include "core/fd.hpp"
#include "core/file.hpp"
#include "core/strings.hpp"
#include "core/thread.hpp"
#include "engine/own_container.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <filesystem>
#include <map>

namespace hostnet::cli::doctor {
namespace {

constexpr std::chrono::milliseconds kSearchSpan{500};
constexpr std::chrono::milliseconds kNameSpan{300};

struct Namespace {
  std::string path;         // of a file that opens it
  std::string name;         // in /run/netns
  std::vector<pid_t> pids;  // its processes
};

std::optional<ino_t> inode_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return status.st_ino;
}

std::map<ino_t, Namespace> other_namespaces() {
  namespace fs = std::filesystem;
  std::map<ino_t, Namespace> found;
  std::error_code failed;
  for (fs::directory_iterator entry("/proc", failed), end; !failed && entry != end; entry.increment(failed)) {
    const auto pid = parse_number(entry->path().filename().string(), INT_MAX);
    if (!pid) continue;
    const auto path = entry->path().string() + "/ns/net";
    const auto inode = inode_of(path);
    if (!inode) continue;
    auto& place = found[*inode];
    place.path = path;
    place.pids.push_back(static_cast<pid_t>(*pid));
  }
  failed.clear();
  for (fs::directory_iterator entry("/run/netns", failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const auto inode = inode_of(entry->path().string());
    if (!inode) continue;
    auto& place = found[*inode];
    if (place.path.empty()) place.path = entry->path().string();
    place.name = entry->path().filename().string();
  }
  if (const auto own = inode_of("/proc/thread-self/ns/net")) found.erase(*own);
  return found;
}

bool has_socket(pid_t pid, std::uint32_t inode) {
  const auto wanted = fmt::format("socket:[{}]", inode);
  std::error_code failed;
  for (std::filesystem::directory_iterator fd(fmt::format("/proc/{}/fd", pid), failed), end;
       !failed && fd != end; fd.increment(failed)) {
    std::error_code closed;
    if (std::filesystem::read_symlink(*fd, closed) == wanted) return true;
  }
  return false;
}

// The name of the process's container; its id if the engine does not know it.
std::string container_of(pid_t pid, const EngineFacts& engine) {
  const auto id = engine::container_id_in(try_read_file(fmt::format("/proc/{}/mountinfo", pid)).value_or(""));
  if (id.empty() || id == engine::container_id_in(try_read_file("/proc/thread-self/mountinfo").value_or("")))
    return {};
  if (engine.answers && engine.remote.empty())
    if (const auto found =
            see([&] { return engine::Client(*engine.address).container(id, Deadline::after(kNameSpan)); }))
      return found->name;
  return id.substr(0, 12);
}

std::vector<Elsewhere> listeners_elsewhere(const HostPort& port, const EngineFacts& engine) {
  const auto namespaces = other_namespaces();
  struct Found {
    const Namespace* where;
    netlink::Listener listener;
  };
  const auto found = run_in_thread("tchn-setns", [&] {
    std::vector<Found> out;
    const auto deadline = Deadline::after(kSearchSpan);
    for (const auto& [inode, place] : namespaces) {
      if (deadline.expired()) break;
      const Fd netns(::open(place.path.c_str(), O_RDONLY | O_CLOEXEC));
      if (!netns || ::setns(netns.get(), CLONE_NEWNET) != 0) continue;
      const auto listeners = see([&] { return netlink::listeners(port.host, port.protocol); });
      if (!listeners) continue;
      for (const auto& listener : *listeners) out.push_back({&place, listener});
    }
    return out;
  });
  std::vector<Elsewhere> out;
  for (const auto& [where, listener] : found) {
    Elsewhere one{.address = listener.to_string(), .netns = where->name};
    for (const auto pid : where->pids) {
      if (!has_socket(pid, listener.inode)) continue;
      one.pid = pid;
      one.command = command_of(pid);
      one.container = container_of(pid, engine);
      break;
    }
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace

ListenerFacts gather_listener(const HostPort& port, const EngineFacts& engine,
                              const std::optional<Target>& target, exposer::Origin origin) {
  ListenerFacts facts{.port = port,
                      .listeners = see([&] { return netlink::listeners(port.host, port.protocol); }),
                      .target = target,
                      .origin = origin};
  if (!port.socket.empty()) return facts;
  const bool served = facts.listeners && std::ranges::any_of(*facts.listeners, [&](const auto& listener) {
                        return exposer::is_reached(port, listener, origin);
                      });
  if (!facts.listeners || served) return facts;
  if (const auto found = see([&] { return listeners_elsewhere(port, engine); })) facts.elsewhere = *found;
  return facts;
}

}  // namespace hostnet::cli::doctor
