// Leaves a lease's ports to the container: the relay listens at another port of the same address, and rules
// in the container's own network namespace rewrite the ports on the way between the two.
//
// Theory of operation
//
// Why. A socket at 127.0.0.77:80 makes the container's own later bind of 0.0.0.0:80 or [::]:80 fail. So none
// is there: the socket is at 127.0.0.77:61080, say, and a table of nf_tables has
//
//   hook         of packets on lo             rewrites
//   prerouting   to 127.0.0.77:80             the destination port, to 61080
//   output       from 127.0.0.77:61080        the source port, to 80; also in the ICMP error that a UDP port
//                                             that refuses sends, or the sender would not know it for its own
//
// Programs, connection tracking and other rules, such as those of Docker's name server, see port 80 alone but
// for what is between prerouting and the socket. What goes to any other address is left as it is.
//
// Why not DNAT. It needs connection tracking, which the first NAT rule would switch on for all traffic of the
// container: a cost on each packet, and one more limit (nf_conntrack_max) at which the kernel drops. It also
// remembers: a UDP sender that never rests would go on to a port that another lease has left. Both ends are
// on lo here and both are ours, so plain rewriting does it, and keeps no state.
//
// Whose life. The table has NFT_TABLE_F_OWNER (Linux 5.12): only the netlink socket that made it may change
// it (so not a `flush ruleset` in the container), and the kernel removes it with the last descriptor of that
// socket. The socket is passed on with the listeners, so the table ends with their process, however that
// ends. Like them it keeps the network namespace in the kernel, and is closed with them.
//
// Who has which port. A second table for the same port would shadow the first, and no bind tells. So each
// port has an empty table of its own, which only one can make: tc_hostnet_tcp_80.
//
// Which port. One above net.ipv4.ip_local_port_range, from which the container's own programs get none
// unasked. A port of a lease that is up there itself is bound itself: so a rewritten port is never rewritten
// again.
//
//   the kernel says                               then
//   nf_tables is missing or has no owner flag;    the ports are bound themselves: the container's own later
//   this process has no CAP_NET_ADMIN there       bind of one fails
//   a port's table exists                         the port is in use
#pragma once

#include "path/relay/bound_socket.hpp"
#include "path/relay/nft_batch.hpp"
#include "path/relay/port_rules.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netlink.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace hostnet::relay {

/// The lowest port behind which doors are put, for the text of ip_local_port_range: "32768\t60999\n". Pure.
inline std::uint16_t first_port_behind(const char* text) noexcept {
  constexpr unsigned usual_end = 60999;
  constexpr unsigned most_first = 65536 - 1024;  // if the range reaches the end, the last ports of it
  unsigned ends[2] = {0, 0};
  for (auto& end : ends) {
    while (*text == ' ' || *text == '\t') ++text;
    if (*text < '0' || *text > '9') return usual_end + 1;
    for (; *text >= '0' && *text <= '9'; ++text) {
      end = end * 10 + static_cast<unsigned>(*text - '0');
      if (end > UINT16_MAX) return usual_end + 1;
    }
  }
  return static_cast<std::uint16_t>(ends[1] + 1 < most_first ? ends[1] + 1 : most_first);
}

/// Used by one thread, in the network namespace of the container.
class PortMap {
 public:
  PortMap() noexcept = default;
  PortMap(const PortMap&) = delete;
  PortMap& operator=(const PortMap&) = delete;
  ~PortMap() {
    if (socket_ >= 0) ::close(socket_);
  }

  /// Makes the table of a lease, for doors at `address` (in network byte order). Returns 0, or an errno: then
  /// nothing is there.
  int open(const char* lease, in_addr_t address) noexcept {
    if (!rules_.name(lease, address)) return EINVAL;
    char text[64] = {};
    const int file = ::open("/proc/sys/net/ipv4/ip_local_port_range", O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
      if (::read(file, text, sizeof text - 1) < 0) text[0] = '\0';
      ::close(file);
    }
    first_ = first_port_behind(text);
    socket_ = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    if (socket_ < 0) return errno;
    NftBatch batch;
    rules_.write_table(batch);
    const int error = exchange(socket_, batch).error;
    if (error != 0) ::close(release());
    return error;
  }
  /// Removes the tables of a map and of the doors that it has, in a batch or a few: the kernel is slower with
  /// each alone, and another process may have the socket, too. For a process with CAP_NET_ADMIN over the
  /// namespace; for another the kernel does nothing.
  template <class Doors>
  static void remove(int socket, const char* lease, const Doors& doors) noexcept {
    constexpr std::size_t room_for_one = 128;
    PortRules rules;
    if (!rules.name(lease, 0)) return;
    NftBatch batch;
    rules.write_removal(batch);
    for (const auto& door : doors) {
      if (batch.room() < room_for_one) {
        static_cast<void>(exchange(socket, batch));
        batch = NftBatch();
      }
      rules.write_removal(batch, door);
    }
    static_cast<void>(exchange(socket, batch));
  }

  [[nodiscard]] bool is_open() const noexcept { return socket_ >= 0; }
  /// The table lives as long as this netlink socket.
  [[nodiscard]] int socket() const noexcept { return socket_; }

  /// Makes a socket for a door: behind it, or at it if it is not to be rewritten. After an error there is
  /// none.
  Answer add(Door door, int& socket) noexcept {
    constexpr int most_tries = 64;
    if (door.port < first_) {
      const unsigned span = UINT16_MAX + 1U - first_;
      for (int i = 0; i < most_tries; ++i) {
        const auto behind =
            static_cast<std::uint16_t>(first_ + (door.port + static_cast<unsigned>(i)) % span);
        const auto made =
            make_bound_socket(Door(behind, door.type), rules_.address(), socket, nullptr, false);
        if (made.error == 0) return lead(door, behind, socket);
        close_made(socket);
        if (made.error != EADDRINUSE) return made;
      }
    }
    const auto made = make_bound_socket(door, rules_.address(), socket);
    if (made.error != 0) close_made(socket);
    return made;
  }

 private:
  struct Said {
    int error = 0;
    std::uint32_t mark = 0;
  };

  static void close_made(int& socket) noexcept {
    if (socket >= 0) ::close(socket);
    socket = -1;
  }
  int release() noexcept {
    const int out = socket_;
    socket_ = -1;
    return out;
  }

  Answer lead(Door door, std::uint16_t behind, int& socket) noexcept {
    NftBatch batch;
    rules_.write_door(batch, door, behind);
    const auto said = exchange(socket_, batch);
    if (said.error == 0) return {};
    close_made(socket);
    // Another socket's table is not even shown.
    if (said.mark == PortRules::kDoorMark && (said.error == EEXIST || said.error == EPERM))
      return {Step::bind, EADDRINUSE};
    return {Step::map, said.error};
  }

  // The kernel has handled a batch, and answered, when send(2) returns.
  static Said exchange(int socket, NftBatch& batch) noexcept {
    batch.finish();
    if (!batch.fits()) return {EMSGSIZE};
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    if (::sendto(socket, batch.data(), batch.size(), 0, reinterpret_cast<const sockaddr*>(&kernel),
                 sizeof kernel) < 0)
      return {errno};
    bool done = false;
    Said first;
    for (;;) {
      struct {
        nlmsghdr head;
        nlmsgerr body;
      } answer{};
      const auto got = ::recv(socket, &answer, sizeof answer, MSG_DONTWAIT);  // cuts the request's copy off
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) break;
      if (got != sizeof answer || answer.head.nlmsg_type != NLMSG_ERROR) continue;
      if (answer.body.error != 0 && first.error == 0) first = {-answer.body.error, answer.head.nlmsg_seq};
      done = true;
    }
    return done ? first : Said{ENOMSG};
  }

  PortRules rules_;
  int socket_ = -1;
  std::uint16_t first_ = 0;
};

}  // namespace hostnet::relay
