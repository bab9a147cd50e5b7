// Accepts, receives, verifies.
#include "path/relay/handoff_receiver.hpp"

#include "core/log.hpp"
#include "engine/alias.hpp"
#include "hostnet/error.hpp"
#include "path/relay/handoff_message.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <utility>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71  // Linux 5.14
#endif

namespace hostnet::relay {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstMessage{2000};
constexpr milliseconds kLookAtProgram{250};
constexpr std::size_t kMostDescriptors =
    8;  // received in one message, to be closed; the kernel drops the rest

struct Packet {
  HandoffMessage message;
  std::size_t size = 0;
  bool cut = false;                // longer than a message
  bool lacks_descriptors = false;  // more came with it, or this process has no room
  std::vector<Fd> descriptors;
};

[[noreturn]] void broken(const ExpectedHandoff& expected, std::string_view what) {
  throw Error(Errc::failure,
              fmt::format("the hand-off of container {}'s sockets failed: {}", expected.container, what));
}

bool is_readable(int fd, Deadline deadline) {
  for (;;) {
    pollfd poll{fd, POLLIN, 0};
    const int ready = ::poll(&poll, 1, deadline.poll_timeout());
    if (ready < 0 && errno == EINTR) continue;
    return ready > 0;
  }
}

// nullopt at the end of the connection, and at the deadline.
std::optional<Packet> next_packet(int peer, Deadline deadline) {
  if (!is_readable(peer, deadline)) return std::nullopt;
  Packet out;
  iovec part{&out.message, sizeof out.message};
  union {
    cmsghdr header;
    char bytes[CMSG_SPACE(kMostDescriptors * sizeof(int))];
  } control{};
  msghdr whole{};
  whole.msg_iov = &part;
  whole.msg_iovlen = 1;
  whole.msg_control = control.bytes;
  whole.msg_controllen = sizeof control.bytes;
  ssize_t got = -1;
  do got = ::recvmsg(peer, &whole, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  while (got < 0 && errno == EINTR);
  if (got < 0) return std::nullopt;
  for (auto* header = CMSG_FIRSTHDR(&whole); header != nullptr; header = CMSG_NXTHDR(&whole, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const auto count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      out.descriptors.emplace_back(fd);
    }
  }
  if (got == 0 && out.descriptors.empty()) return std::nullopt;
  out.size = static_cast<std::size_t>(got);
  out.cut = (whole.msg_flags & MSG_TRUNC) != 0;
  out.lacks_descriptors = (whole.msg_flags & MSG_CTRUNC) != 0;
  return out;
}

// Takes the same time wherever they differ.
bool has_token(const HandoffMessage& message, const std::string& token) {
  if (token.size() != sizeof message.token) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < token.size(); ++i)
    difference |= static_cast<unsigned>(message.token[i]) ^ static_cast<unsigned>(token[i]);
  return difference == 0;
}

int option(int socket, int which) {
  int value = -1;
  socklen_t size = sizeof value;
  return ::getsockopt(socket, SOL_SOCKET, which, &value, &size) == 0 ? value : -1;
}

// nullopt before Linux 5.14.
std::optional<std::uint64_t> network_of(int socket) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (::getsockopt(socket, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) != 0) return std::nullopt;
  return cookie;
}

void check_not_ours(int socket, const ExpectedHandoff& expected) {
  const Fd ours(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto own = network_of(ours.get());
  if (own && network_of(socket) == own) throw uses_our_network(expected.container);
}

// This process only keeps it: it writes nothing, and reads nothing.
void verify_map(int socket, const ExpectedHandoff& expected) {
  if (option(socket, SO_DOMAIN) != AF_NETLINK || option(socket, SO_PROTOCOL) != NETLINK_NETFILTER)
    broken(expected, "the socket of its port map is not the one that was asked for");
  check_not_ours(socket, expected);
}

void verify_socket(int socket, const ExpectedHandoff& expected, Door door, bool with_map) {
  const auto asked = socket_address(expected.address.network(), door.port);
  const bool is_tcp = door.type == SOCK_STREAM;
  sockaddr_in bound{};
  socklen_t size = sizeof bound;
  sockaddr_storage peer{};
  socklen_t peer_size = sizeof peer;
  const bool right =
      option(socket, SO_DOMAIN) == AF_INET && option(socket, SO_TYPE) == door.type &&
      option(socket, SO_PROTOCOL) == (is_tcp ? IPPROTO_TCP : IPPROTO_UDP) &&
      option(socket, SO_ACCEPTCONN) == 0 && option(socket, SO_REUSEADDR) == (is_tcp ? 1 : 0) &&
      ::getsockname(socket, reinterpret_cast<sockaddr*>(&bound), &size) == 0 && size == sizeof bound &&
      (bound.sin_port == asked.sin_port || (with_map && bound.sin_port != 0)) &&
      bound.sin_addr.s_addr == asked.sin_addr.s_addr &&
      ::getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0 && errno == ENOTCONN;
  if (!right)
    broken(expected, fmt::format("the socket for port {} is not the one that was asked for", door.port));
  check_not_ours(socket, expected);
  ::fcntl(socket, F_SETFL, O_NONBLOCK);
}

void verify_hosts(int file, const ExpectedHandoff& expected) {
  struct stat status {};
  struct stat own {};
  const int flags = ::fcntl(file, F_GETFL);
  const bool right = ::fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 1 &&
                     flags >= 0 && (flags & O_PATH) == 0 && (flags & O_ACCMODE) == O_RDWR;
  const bool is_ours =
      ::stat("/etc/hosts", &own) == 0 && own.st_dev == status.st_dev && own.st_ino == status.st_ino;
  if (!right || is_ours) broken(expected, "its hosts file is not one that the engine made");
}

[[noreturn]] void program_failed(const ExpectedHandoff& expected, const HandoffMessage& message) {
  if (message.step == Step::hosts)
    throw Error(Errc::failure,
                fmt::format("the hosts file of container {} cannot be opened: {}", expected.container,
                            std::strerror(message.error)),
                "add --no-alias, and use the address instead of the name in the container", message.error);
  throw cannot_listen(expected.container, {message.step, message.error}, expected.address, message.port);
}

// What a message is about.
struct Item {
  enum class Kind : std::uint8_t { hosts, map, door };
  Kind kind = Kind::door;
  Door door{0};
};

std::vector<Item> items_of(const ExpectedHandoff& expected) {
  std::vector<Item> out;
  if (expected.hosts) out.push_back({.kind = Item::Kind::hosts});
  if (expected.map) out.push_back({.kind = Item::Kind::map});
  for (const auto& door : expected.ports) out.push_back({.kind = Item::Kind::door, .door = door});
  return out;
}

void take(HandedOver& out, const Item& item, Packet packet, const ExpectedHandoff& expected) {
  const auto& message = packet.message;
  if (message.port != item.door.port)
    broken(expected, fmt::format("port {} came instead of {}", message.port, item.door.port));
  const bool is_map = item.kind == Item::Kind::map;
  if ((message.step == Step::map && message.port == 0) != is_map)
    broken(expected, "the port map is not in its place");
  if (is_map && message.error != 0) {
    if (!packet.descriptors.empty()) broken(expected, "a descriptor came with an error");
    out.doors.map_error = message.error;
    return;
  }
  if (message.error != 0) program_failed(expected, message);
  if (packet.descriptors.size() != 1)
    broken(expected, fmt::format("{} descriptors came with one message", packet.descriptors.size()));
  auto& descriptor = packet.descriptors.front();
  switch (item.kind) {
    case Item::Kind::hosts:
      verify_hosts(descriptor.get(), expected);
      out.hosts = std::move(descriptor);
      break;
    case Item::Kind::map:
      verify_map(descriptor.get(), expected);
      out.doors.map = std::move(descriptor);
      break;
    case Item::Kind::door:
      verify_socket(descriptor.get(), expected, item.door, bool(out.doors.map));
      out.doors.sockets.push_back(std::move(descriptor));
      break;
  }
}

// One connection. nullopt if it is not the program's.
std::optional<HandedOver> converse(int peer, const ExpectedHandoff& expected, Deadline deadline) {
  HandedOver out;
  bool known = false;
  for (const auto& item : items_of(expected)) {
    const auto patience = std::min(kFirstMessage, deadline.remaining());
    auto packet = next_packet(peer, known ? deadline : Deadline::after(patience));
    const bool is_its = packet && packet->size == sizeof(HandoffMessage) && !packet->cut &&
                        has_token(packet->message, expected.token);
    if (!known && !is_its) return std::nullopt;
    known = true;
    if (!packet && deadline.expired())
      throw Error(Errc::timed_out,
                  fmt::format("the hand-off of container {}'s sockets took too long", expected.container));
    if (!is_its) broken(expected, packet ? "a message makes no sense" : "the connection was closed");
    if (packet->lacks_descriptors && packet->descriptors.empty())
      throw Error(Errc::failure, "no descriptor is free for a socket", "see ulimit -n");
    if (packet->lacks_descriptors) broken(expected, "too many descriptors came with one message");
    take(out, item, std::move(*packet), expected);
  }
  return out;
}

}  // namespace

HandedOver receive_handoff(int listener, const ExpectedHandoff& expected, Deadline deadline,
                           const std::function<bool()>& has_ended) {
  bool ended = false;
  for (;;) {
    const auto patience = ended ? milliseconds{0} : std::min(kLookAtProgram, deadline.remaining());
    if (!is_readable(listener, Deadline::after(patience))) {
      if (ended)
        throw Error(
            Errc::no_path,
            fmt::format("the container for the hand-off of container {}'s sockets ended without them: it "
                        "could not reach this process",
                        expected.container),
            "take the ssh path: --via ssh");
      if (deadline.expired())
        throw Error(Errc::timed_out,
                    fmt::format("no socket came from the network of container {}", expected.container));
      ended = has_ended();  // what it sent before that is in the queue
      continue;
    }
    const Fd peer(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!peer && errno != EINTR && errno != EAGAIN && errno != ECONNABORTED)
      throw Error::from_errno("accept the hand-off", errno);
    if (!peer) continue;
    ucred who{};
    socklen_t size = sizeof who;
    if (::getsockopt(peer.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0 ||
        (who.uid != 0 && who.uid != expected.root)) {
      log::warn("container {}: uid {} connected in place of the hand-off, and is refused", expected.container,
                who.uid);
      continue;
    }
    if (auto out = converse(peer.get(), expected, deadline)) return std::move(*out);
    log::warn("container {}: process {} connected in place of the hand-off, and is refused",
              expected.container, who.pid);
  }
}

}  // namespace hostnet::relay
