// A network namespace of its own for one child process, joined to the host by a veth pair: what `run` runs
// in.
//
// It forks by itself, where core/child starts programs: between fork and exec the child enters its namespaces
// and mounts its hosts file, and the program is to be the command's own child, in its process group.
//
// The child sees loopback, one eth0 with a /30, a default route to the host's end, and a hosts file of its
// own with the alias; nothing forwards it any further. There is nothing to clean up: the namespace, and with
// it both ends of the pair and their settings, goes with the last process in it, and the child goes with its
// parent, however that ends.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "core/ipv4.hpp"
#include "netlink/link.hpp"
#include "path/native/lease_store.hpp"

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace hostnet::exposer {

/// The addresses of one sandbox.
struct SandboxNet {
  Ipv4 gateway;  ///< The host's end.
  Ipv4 address;  ///< The child's end.
  static constexpr unsigned prefix = 30;
};

/// The highest free /30 of 198.18.0.0/15 (RFC 2544: for testing devices on one's own, never routed), where no
/// route or address of this host lies in it. nullopt when all are taken. Pure.
std::optional<SandboxNet> free_net(const std::vector<netlink::Route>& routes,
                                   const std::vector<netlink::Address>& addresses);

/// That of the next sandbox, as long as nobody else takes it. @throws Error{conflict} when all are taken.
SandboxNet next_net(netlink::Rtnl& host);

/// Not thread-safe; must be made before the process has threads, for it forks.
class Sandbox {
 public:
  /// Forks a child that enters namespaces of its own and waits there for run(). @throws Error.
  Sandbox();
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;
  /// A child that was never told to run is ended.
  ~Sandbox();

  /// Joins it to the host. The store's lock is held meanwhile, so that two sandboxes never choose the same
  /// addresses. Returns the host's end. @throws Error.
  netlink::Link connect(LeaseStore& store, Deadline deadline);

  /// Gives the child its hosts file and the command. From now on the child is the caller's to wait for.
  /// The child exits with 127 when there is no such program, 126 when it cannot be run, 125 on any other
  /// failure.
  void run(const std::vector<std::string>& command);

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  [[nodiscard]] const SandboxNet& net() const noexcept { return net_; }

 private:
  pid_t pid_ = -1;
  Fd channel_;  // to the child: one byte "ready" from it, then the command to it
  Fd netns_;    // keeps the host's end there until the lease has been released in order, the child being gone
  SandboxNet net_;
  bool command_sent_ = false;
};

}  // namespace hostnet::exposer
