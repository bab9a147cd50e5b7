// A network namespace for one child process, joined to the host by a veth pair: `run` runs in it.
//
//   state      the child                                   ends with
//   made       is in its namespaces, waits for a command   connect(); or ~Sandbox()
//   connected  has eth0, an address and a default route    run(); or ~Sandbox()
//   running    is the command                              its own end; the parent's end (PDEATHSIG, SIGKILL)
//
//   event                               then
//   the namespaces cannot be made       the child sends the reason; the constructor throws no_path
//   ~Sandbox() without run()            the channel closes, the child exits; the destructor waits for it
//   no such program                     the child exits with 127
//   the program cannot be run           the child exits with 126
//   any other failure of the child      the child exits with 125
//   every /30 is taken                  connect() throws conflict
//
// connect()'s deadline bounds its wait for the journal's lock. The constructor's wait for the child has no
// deadline: the child always writes or exits.
//
// The class forks by itself instead of through core/child: between fork and exec the child enters its
// namespaces and mounts its hosts file, and the program must be the command's own child, in its process
// group.
//
// The child sees loopback, one eth0 with a /30, a default route to the host's end, and its own hosts file
// with the alias; nothing forwards it further. No clean-up is needed: the namespace, both ends of the pair
// and their settings end with the last process in it.
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

/// The highest /30 of 198.18.0.0/15 (RFC 2544: reserved for benchmark tests, never routed) that overlaps no
/// route or address of this host. nullopt if all are taken. Pure.
std::optional<SandboxNet> free_net(const std::vector<netlink::Route>& routes,
                                   const std::vector<netlink::Address>& addresses);

/// The network of the next sandbox, unless another process takes it first. @throws Error{conflict} if all are
/// taken.
SandboxNet next_net(netlink::Rtnl& host);

/// Not thread-safe. It forks, so make it before the process starts threads.
class Sandbox {
 public:
  /// Forks a child that enters its namespaces and waits for run(). @throws Error.
  Sandbox();
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;
  /// Ends a child that has not received a command.
  ~Sandbox();

  /// Joins it to the host, under the store's lock, so that two sandboxes never choose the same addresses.
  /// Returns the host's end. @throws Error.
  netlink::Link connect(LeaseStore& store, Deadline deadline);

  /// Sends the child its gateway and the command. From then on the caller waits for the child; exit codes
  /// above.
  void run(const std::vector<std::string>& command);

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  [[nodiscard]] const SandboxNet& net() const noexcept { return net_; }

 private:
  pid_t pid_ = -1;
  Fd channel_;  // to the child: receives the ready byte, then sends the command
  Fd netns_;    // keeps the host's end after the child's exit, for an orderly release
  SandboxNet net_;
  bool command_sent_ = false;
};

}  // namespace hostnet::exposer
