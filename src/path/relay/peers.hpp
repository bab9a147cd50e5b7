// Who may connect to a socket that more than its lease's containers can reach: one at the gateway of a
// bridge.
//
// SO_BINDTODEVICE keeps out what comes in by other interfaces. It does not keep out this host: the kernel
// takes a connection of its own to a bridge's address for one that came in by that bridge. So a peer with one
// of the host's own addresses is reset before a byte passes; else each local user, and each container on the
// host's network, would have the service. A datagram of such a source is dropped.
//
// A container has no address before it starts, but may connect in its first instruction. Until restrict_to()
// the connections wait in the kernel's queue, established, and none is served; so do datagrams.
#pragma once

#include "core/ipv4.hpp"
#include "netlink/route.hpp"

#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace hostnet::relay {

/// Thread-safe, except admit(), which is the relay's thread's.
class Peers {
 public:
  enum class From { network, container_to_come };
  /// `own`: the addresses of the listener's network namespace. @throws Error.
  explicit Peers(From from, netlink::OwnAddresses own = netlink::OwnAddresses())
      : own_(std::move(own)), waits_(from == From::container_to_come) {}
  Peers(const Peers&) = delete;
  Peers& operator=(const Peers&) = delete;
  ~Peers() = default;

  /// From now on only these may connect. The forwards have to resume() then.
  void restrict_to(std::vector<Ipv4> addresses);
  [[nodiscard]] bool are_known() const;
  /// Whether this one may connect. False also if that cannot be found out.
  [[nodiscard]] bool admit(Ipv4 peer) noexcept;

 private:
  netlink::OwnAddresses own_;
  mutable std::mutex mutex_;  // guards the members below
  bool waits_;
  std::optional<std::vector<Ipv4>> only_;
};

}  // namespace hostnet::relay
