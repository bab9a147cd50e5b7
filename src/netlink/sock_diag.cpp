// Queries the kernel for sockets and destroys them (sock_diag(7)).
//
// Destroying needs care: the kernel looks up the socket as for an incoming segment. When the connection is
// gone, it finds the *listener* instead, and would shut that service down. So the code first looks the socket
// up, requires that it is a connection, and then names it by its cookie, which no other socket has.
#include "netlink/sock_diag.hpp"

#include "netlink/request.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <type_traits>

namespace hostnet::netlink {
namespace {

constexpr std::array<std::uint8_t, 12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// A UDP socket that is bound and not connected is in state CLOSE.
std::uint32_t listening_states(Protocol protocol) {
  return 1U << (protocol == Protocol::tcp ? TCP_LISTEN : TCP_CLOSE);
}

void parse_listener(const nlmsghdr& header, std::vector<Listener>& listeners) {
  const auto found = payload<inet_diag_msg>(header);
  const Attributes<INET_DIAG_MAX> attributes(header, sizeof found);
  Listener listener{.ipv6 = found.idiag_family == AF_INET6,
                    .port = ntohs(found.id.idiag_sport),
                    .v6only = get<std::uint8_t>(attributes[INET_DIAG_SKV6ONLY]) != 0,
                    .uid = found.idiag_uid,
                    .inode = found.idiag_inode,
                    .device = found.id.idiag_if};
  std::memcpy(listener.address.data(), found.id.idiag_src, listener.ipv6 ? 16 : 4);
  listeners.push_back(listener);
}

// Port 0 means all.
std::vector<Listener> list(std::uint16_t port, Protocol protocol) {
  const auto socket = open_socket(NETLINK_SOCK_DIAG);
  std::vector<Listener> listeners;
  for (const int family : {AF_INET, AF_INET6}) {
    const auto request = make_message(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP,
                                      inet_diag_req_v2{.sdiag_family = static_cast<std::uint8_t>(family),
                                                       .sdiag_protocol = static_cast<std::uint8_t>(protocol),
                                                       .idiag_states = listening_states(protocol),
                                                       .id = {.idiag_sport = htons(port)}});
    std::vector<Listener> found;
    const int error = dump(socket.get(), request.get(), found, parse_listener);
    const auto what = [&] { return fmt::format("list {} listeners", to_string(protocol)); };
    if (error == ENOENT) {
      throw Error(Errc::failure, fmt::format("{}: this kernel has no {}_diag", what(), to_string(protocol)),
                  {}, error);
    }
    if (error != 0) throw Error::from_errno(what(), error);
    listeners.insert(listeners.end(), found.begin(), found.end());
  }
  return listeners;
}

// The connection's full id with its cookie; nullopt when it is gone.
std::optional<inet_diag_sockid> find_connection(nl_sock* socket, inet_diag_req_v2 wanted,
                                                const std::string& what) {
  const auto request = make_message(SOCK_DIAG_BY_FAMILY, 0, wanted);
  std::optional<inet_diag_sockid> found;
  const int error = transact(socket, request.get(), [&](const nlmsghdr& header) {
    const auto answer = payload<inet_diag_msg>(header);
    const bool alive = answer.idiag_state != TCP_LISTEN && answer.idiag_state != TCP_TIME_WAIT;
    if (alive && answer.id.idiag_dport == wanted.id.idiag_dport) found = answer.id;
  });
  if (error != 0 && error != ENOENT) throw Error::from_errno(what, error);
  return found;
}

}  // namespace

bool Listener::serves(Ipv4 wanted) const {
  const auto is = [](const auto begin, const auto end, std::uint32_t network) {
    return std::equal(begin, end, reinterpret_cast<const std::uint8_t*>(&network));
  };
  const auto first = address.begin();
  if (!ipv6) return is(first, first + 4, wanted.network()) || is(first, first + 4, 0);
  if (v6only) return false;
  if (std::all_of(first, address.end(), [](std::uint8_t byte) { return byte == 0; })) return true;
  if (!std::equal(mapped_prefix.begin(), mapped_prefix.end(), first)) return false;
  return is(first + 12, address.end(), wanted.network()) || is(first + 12, address.end(), 0);
}

bool Listener::serves_ipv6_loopback() const {
  // All bytes except the last are zero; the last is 1 for ::1 and 0 for ::.
  return ipv6 && address.back() <= 1 &&
         std::all_of(address.begin(), address.end() - 1, [](std::uint8_t byte) { return byte == 0; });
}

Ip Listener::ip() const {
  if (!ipv6) {
    std::uint32_t network = 0;
    std::memcpy(&network, address.data(), sizeof network);
    return Ipv4::from_network(network);
  }
  Ip out;
  out.bytes = address;
  return out;
}

std::string Listener::to_string() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(ipv6 ? AF_INET6 : AF_INET, address.data(), text.data(), text.size());
  const auto on = device == 0                 ? std::string()
                  : device == kLoopbackDevice ? std::string("%lo")
                                              : fmt::format("%{}", device);
  return ipv6 ? fmt::format("[{}{}]:{}", text.data(), on, port)
              : fmt::format("{}{}:{}", text.data(), on, port);
}

std::vector<Listener> listeners(std::uint16_t port, Protocol protocol) {
  if (port == 0) return {};
  auto found = list(port, protocol);
  std::erase_if(found, [port](const Listener& listener) { return listener.port != port; });
  return found;
}

std::vector<Listener> all_listeners(Protocol protocol) { return list(0, protocol); }

bool destroy_tcp(Endpoint local, Endpoint remote) {
  const auto what = fmt::format("reset the connection {} – {}", local.to_string(), remote.to_string());
  const auto socket = open_socket(NETLINK_SOCK_DIAG);
  // AF_INET also finds IPv6 sockets with mapped addresses: the kernel keeps both in one table.
  inet_diag_req_v2 wanted{.sdiag_family = AF_INET,
                          .sdiag_protocol = IPPROTO_TCP,
                          .id = {.idiag_sport = htons(local.port),
                                 .idiag_dport = htons(remote.port),
                                 .idiag_src = {local.address.network()},
                                 .idiag_dst = {remote.address.network()},
                                 .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}};
  const auto found = find_connection(socket.get(), wanted, what);
  if (!found) return false;
  std::copy(std::begin(found->idiag_cookie), std::end(found->idiag_cookie), wanted.id.idiag_cookie);
  const auto request = make_message(SOCK_DESTROY, 0, wanted);
  const int error = transact(socket.get(), request.get());
  if (error == ENOENT || error == ESTALE) return false;  // it closed between the two requests
  if (error == EOPNOTSUPP) {
    throw Error(Errc::failure, fmt::format("{}: this kernel cannot (CONFIG_INET_DIAG_DESTROY)", what), {},
                error);
  }
  if (error != 0) throw Error::from_errno(what, error);
  return true;
}

std::uint32_t unix_peer(std::uint32_t inode) {
  const auto socket = open_socket(NETLINK_SOCK_DIAG);
  constexpr auto any = static_cast<std::uint32_t>(INET_DIAG_NOCOOKIE);
  const auto request = make_message(SOCK_DIAG_BY_FAMILY, 0,
                                    unix_diag_req{.sdiag_family = AF_UNIX,
                                                  .udiag_ino = inode,
                                                  .udiag_show = UDIAG_SHOW_PEER,
                                                  .udiag_cookie = {any, any}});
  std::uint32_t peer = 0;
  const int error = transact(socket.get(), request.get(), [&](const nlmsghdr& header) {
    const Attributes<UNIX_DIAG_MAX> attributes(header, sizeof(unix_diag_msg));
    if (payload<unix_diag_msg>(header).udiag_ino == inode)
      peer = get<std::uint32_t>(attributes[UNIX_DIAG_PEER]);
  });
  if (error != 0 && error != ENOENT) throw Error::from_errno("look up the other end of a Unix socket", error);
  return peer;
}

}  // namespace hostnet::netlink
