// Finds the namespace by the parent of a container.
#include "path/relay/engine_net.hpp"

#include "core/file.hpp"
#include "core/strings.hpp"
#include "core/unix_address.hpp"
#include "engine/mounts.hpp"
#include "hostnet/error.hpp"
#include "netlink/request.hpp"
#include "path/relay/container_net.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <filesystem>
#include <vector>

namespace hostnet::relay {
namespace {

Error not_found_there(const std::string& container, std::string_view why) {
  return {Errc::no_path,
          fmt::format("the network namespace of container {}'s engine is not found: {}", container, why),
          "name the containers one by one (--container NAME), or take the ssh path: --via ssh"};
}

Fd open_for_reading(const std::string& path) { return Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)); }

// Not the namespace of this process: an engine that has its bridges there is not rootless.
Fd open_netns(const std::string& container, pid_t parent) {
  auto netns = open_for_reading(fmt::format("/proc/{}/ns/net", parent));
  if (!netns) throw not_found_there(container, std::strerror(errno));
  if (!is_our_netns(netns)) return netns;
  const auto process = fmt::format("/proc/{}", parent);
  const auto file = rootless_netns_in(try_read_file(process + "/mountinfo").value_or(""));
  if (file.empty()) throw not_found_there(container, "Podman keeps none");
  netns = open_for_reading(process + "/root" + file);
  if (!netns) throw not_found_there(container, std::strerror(errno));
  return netns;
}

}  // namespace

pid_t parent_in(std::string_view status) {
  constexpr std::string_view field = "PPid:";
  for (const auto line : split(status, '\n'))
    if (line.starts_with(field))
      return static_cast<pid_t>(parse_number(trim(line.substr(field.size())), INT_MAX).value_or(0));
  return 0;
}

std::string rootless_netns_in(std::string_view mountinfo) {
  for (const auto& mount : engine::parse_mounts(mountinfo)) {
    const auto name = std::filesystem::path(mount.point).filename().string();
    if (mount.type == "nsfs" && name.starts_with("rootless-netns")) return mount.point;
  }
  return {};
}

EngineNet::EngineNet(const engine::Container& container) : container_(container.name) {
  const auto net = open_container_net(container);  // the pid is the container's
  const auto parent = parent_in(try_read_file(fmt::format("/proc/{}/status", net.pid)).value_or(""));
  if (parent <= 1) throw not_found_there(container_, "its process has no parent");
  netns_ = open_netns(container_, parent);
  userns_ = owner_of(netns_, container_);
}

std::uint64_t EngineNet::inode() const { return inode_of(netns_); }

bool EngineNet::is_that_of(const engine::Container& container) const {
  try {
    return EngineNet(container).inode() == inode();
  } catch (const Error& error) {
    if (error.code() != Errc::no_path && error.code() != Errc::not_found) throw;
    return true;  // it may have ended
  }
}

// The kernel tells who listens. The pidfd comes first: what is read after it is of that process, or of none.
Fd EngineNet::engine_process(const engine::Address& engine) const {
  const auto address =
      hostnet::unix_address(engine.is_unix() ? std::string_view(engine.socket) : std::string_view());
  if (!address) return {};
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  ucred listener{};
  socklen_t size = sizeof listener;
  if (::connect(socket.get(), as_sockaddr(*address), sizeof *address) != 0 ||
      ::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &listener, &size) != 0 || listener.pid <= 1)
    return {};
  Fd process(static_cast<int>(::syscall(SYS_pidfd_open, listener.pid, 0)));
  const auto its = open_for_reading(fmt::format("/proc/{}/ns/net", listener.pid));
  if (!process || !its || inode_of(its) != inode() || has_ended(process)) return {};
  return process;
}

std::pair<Answer, Fd> EngineNet::bind(Ipv4 address, Door door, const std::string& bridge,
                                      Deadline deadline) const {
  Wish wish;
  wish.door = door;
  wish.address = address.network();
  bridge.copy(wish.device, sizeof wish.device - 1);
  auto made = make_inside(netns_, userns_, container_, {wish}, deadline);
  return std::move(made.front());
}

netlink::Socket EngineNet::netlink_socket(Deadline deadline) const {
  Wish wish;
  wish.routes = true;
  auto [answer, socket] = std::move(make_inside(netns_, userns_, container_, {wish}, deadline).front());
  if (answer.error != 0) throw not_found_there(container_, std::strerror(answer.error));
  return netlink::adopt_socket(std::move(socket), NETLINK_ROUTE);
}

netlink::Rtnl EngineNet::links(Deadline deadline) const {
  return netlink::Rtnl::on(netlink_socket(deadline));
}

netlink::OwnAddresses EngineNet::own_addresses(Deadline deadline) const {
  return netlink::OwnAddresses(netlink_socket(deadline));
}

}  // namespace hostnet::relay
