// Interfaces, addresses and routes of one network namespace, over rtnetlink (libnl-route).
#pragma once

#include "core/ipv4.hpp"
#include "netlink/socket.hpp"

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hostnet::netlink {

/// The kernel's description of a network interface at one moment.
struct Link {
  int ifindex = 0;
  std::string name;
  std::string kind;               ///< "bridge", "veth", …; empty for a physical one.
  int master = 0;                 ///< ifindex of the bridge whose port it is; 0: none.
  int peer = 0;                   ///< IFLA_LINK: a veth's other end; 0: none. May be in another netns.
  bool peer_elsewhere = false;    ///< IFLA_LINK_NETNSID is present: `peer` is an ifindex of another netns.
  std::optional<int> peer_netns;  ///< This netns's number for that netns; nullopt: it has no number here.
  bool up = false;
  bool route_localnet = false;  ///< net.ipv4.conf.<name>.route_localnet
};

struct Address {
  int ifindex = 0;
  Ipv4 address;
  unsigned prefix = 32;  ///< Prefix length, 0–32.
};

/// Whether one of them is this one.
bool has_address(const std::vector<Address>& addresses, Ipv4 address);
/// Each of them once, in their order: an interface may have one address under several prefixes.
std::vector<Ipv4> distinct(const std::vector<Address>& addresses);

/// A process's netns, as far as RTM_GETNSID tells.
struct ProcessNetns {
  bool is_there = false;      ///< False: no such process, or it is exiting and has left its netns.
  std::optional<int> number;  ///< As Link::peer_netns; nullopt: no interface of ours leads there.

  bool operator==(const ProcessNetns&) const = default;
};

struct Route {
  Ipv4 destination;
  unsigned prefix = 0;  ///< 0 is the default route.
  int ifindex = 0;      ///< Outgoing interface, 0 for none.
  bool local = false;   ///< In the local table (the host's own addresses).
};

/// One NETLINK_ROUTE socket. Not thread-safe. Every call throws Error (not_authorised for EPERM, not_found
/// for a change to an interface that is gone, else failure), which names the interface and the operation.
class Rtnl {
 public:
  /// In the calling thread's network namespace.
  Rtnl();
  /// In another network namespace, given by a descriptor of /proc/PID/ns/net or /run/netns/NAME. The calling
  /// thread stays in its own.
  static Rtnl in_namespace(int netns_fd);
  /// In that of this socket of NETLINK_ROUTE.
  static Rtnl on(Socket socket) { return Rtnl(std::move(socket)); }

  /// nullopt when there is no such interface.
  std::optional<Link> link(std::string_view name);
  std::optional<Link> link(int ifindex);
  std::vector<Link> links();
  /// IPv4 addresses of one interface, or of all (0).
  std::vector<Address> addresses(int ifindex = 0);
  /// IPv4 addresses of one interface in the netns with that number (Link::peer_netns), without entering it:
  /// IFA_TARGET_NETNSID, since Linux 4.20. Empty when that netns or interface is gone.
  /// @throws Error{not_authorised} without CAP_NET_ADMIN in the netns's user namespace.
  std::vector<Address> addresses_elsewhere(int netns, int ifindex);
  /// This netns's number (Link::peer_netns) for the netns of a process, or of an open descriptor:
  /// RTM_GETNSID, which needs no privilege. nullopt when that netns has no number, for example because no
  /// interface here leads to it. List the interfaces first: that assigns the numbers.
  ProcessNetns netns_of_process(pid_t pid);
  std::optional<int> netns_number(int netns_fd);
  /// IPv4 routes of the main and local tables.
  std::vector<Route> routes();

  /// Sets net.ipv4.conf.<interface>.route_localnet by ifindex. Needs only CAP_NET_ADMIN: /proc/sys may be
  /// read-only.
  void set_route_localnet(int ifindex, bool on);

  /// Creates a bridge and returns its ifindex.
  int add_bridge(const std::string& name);
  /// Creates a veth pair: `name` here, `peer` in the netns of `peer_netns_fd`.
  void add_veth(const std::string& name, const std::string& peer, int peer_netns_fd);
  void add_address(int ifindex, Ipv4 address, unsigned prefix);
  void set_master(int ifindex, int master);
  void set_up(int ifindex);
  void add_default_route(Ipv4 gateway, int ifindex);
  /// Does nothing when the interface is gone.
  void remove(int ifindex);

 private:
  explicit Rtnl(Socket socket);
  ProcessNetns netns_number(int attribute, std::uint32_t value);

  Socket socket_;
};

/// A number for the calling thread's network namespace that no other one of this boot has or will have
/// (SO_NETNS_COOKIE; on kernels before 5.14 the nsfs inode).
std::uint64_t namespace_cookie();

}  // namespace hostnet::netlink
