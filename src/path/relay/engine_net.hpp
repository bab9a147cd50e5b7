// The network namespace in which a rootless engine has its bridges, and its networks' gateways.
//
// Theory of operation
//
// The engine does not name it. A container's first process leads there: its parent is the engine's, and runs
//
//   engine   the parent        where the bridges are
//   Docker   containerd-shim   in its network namespace, RootlessKit's
//   Podman   conmon            in one that is a file of its mount namespace, …/rootless-netns…, as no process need be
//                              in it: opened through /proc/PID/root
//
// Both belong to the engine's user. setns(2) takes what container_net.hpp says. In the namespace of anything
// else that has become the parent there is no bridge with the network's name and gateway, and nothing is
// bound.
//
// How long it lasts. Docker's is RootlessKit's, which ends with dockerd; sockets made there keep what is left of it, with
// bridges on which nothing will ever run again. So dockerd's end is watched. Podman's lasts until its last
// container stops, and has no process.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "core/ipv4.hpp"
#include "engine/client.hpp"
#include "netlink/link.hpp"
#include "netlink/route.hpp"
#include "path/relay/bound_socket.hpp"

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace hostnet::relay {

class EngineNet {
 public:
  /// By one of the engine's running containers; enters nothing. @throws Error: no_path if it is not found or
  /// not this user's.
  explicit EngineNet(const engine::Container& container);

  /// Whether another container's engine has it, as far as that is found. @throws Error but no_path and not_found.
  [[nodiscard]] bool is_that_of(const engine::Container& container) const;

  /// As inode_of() of that namespace. @throws Error.
  [[nodiscard]] std::uint64_t inode() const;

  /// A pidfd of the engine, if its process is in that namespace and listens at the engine's socket itself; else
  /// empty.
  [[nodiscard]] Fd engine_process(const engine::Address& engine) const;

  /// A socket there for what comes in by a bridge; without an error in the answer there is one. @throws
  /// Error: timed_out, failure.
  [[nodiscard]] std::pair<Answer, Fd> bind(Ipv4 address, Door door, const std::string& bridge,
                                           Deadline deadline) const;
  /// Its interfaces and addresses. @throws Error.
  [[nodiscard]] netlink::Rtnl links(Deadline deadline) const;
  [[nodiscard]] netlink::OwnAddresses own_addresses(Deadline deadline) const;

 private:
  [[nodiscard]] netlink::Socket netlink_socket(Deadline deadline) const;

  std::string container_;  // for messages
  Fd netns_;
  Fd userns_;  // its owner; empty if it is ours
};

/// The parent in the text of /proc/PID/status (proc(5)); 0 if there is none. Pure.
pid_t parent_in(std::string_view status);

/// The path of Podman's network namespace in the text of /proc/PID/mountinfo; empty if there is none. Pure.
std::string rootless_netns_in(std::string_view mountinfo);

}  // namespace hostnet::relay
