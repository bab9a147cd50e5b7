// Sends requests and walks the kernel's replies.
#include "netlink/request.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include <new>

namespace hostnet::netlink {
namespace {

// The kernel sends at most 32 KiB of a dump at a time, and that much only into a buffer of that size.
constexpr std::size_t buffer_size = 32768;

// The error in an acknowledgement or at a dump's end, as errno.
int reported_error(const nlmsghdr& header) {
  return -payload<int>(header);  // nlmsgerr also begins with it
}

}  // namespace

Socket open_socket(int protocol) {
  Socket socket(nl_socket_alloc());
  if (!socket) throw std::bad_alloc();
  errno = 0;
  if (const int error = nl_connect(socket.get(), protocol); error < 0) {
    const auto what = fmt::format("open a netlink socket of protocol {}", protocol);
    if (errno != 0) throw Error::from_errno(what, errno);
    throw Error(Errc::failure, fmt::format("{}: {}", what, nl_geterror(error)));
  }
  return socket;
}

Socket adopt_socket(Fd made, int protocol) {
  Socket socket(nl_socket_alloc());
  if (!socket) throw std::bad_alloc();
  sockaddr_nl any{};
  any.nl_family = AF_NETLINK;
  // libnl takes the address that it has, and the kernel gives one that is free.
  if (::bind(made.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0)
    throw Error::from_errno("bind a netlink socket", errno);
  if (const int error = nl_socket_set_fd(socket.get(), protocol, made.get()); error < 0)
    throw Error(Errc::failure, fmt::format("take over a netlink socket: {}", nl_geterror(error)));
  static_cast<void>(made.release());
  return socket;
}

Message make_message(int type, int flags, const void* header, std::size_t size) {
  Message message(nlmsg_alloc());
  if (!message) throw std::bad_alloc();
  nlmsghdr* placed = nlmsg_put(message.get(), NL_AUTO_PORT, NL_AUTO_SEQ, type, static_cast<int>(size),
                               flags | NLM_F_REQUEST);
  if (placed == nullptr) throw std::bad_alloc();
  std::memcpy(nlmsg_data(placed), header, size);
  return message;
}

void put(nl_msg* message, int attribute, const void* data, std::size_t size) {
  if (nla_put(message, attribute, static_cast<int>(size), data) < 0) {
    throw Error(Errc::failure, fmt::format("{} bytes do not fit into a netlink message", size), {}, EMSGSIZE);
  }
}

void put(nl_msg* message, int attribute, const std::string& text) {
  put(message, attribute, text.c_str(), text.size() + 1);
}

int receive(nl_sock* socket, int flags, const Visitor& visit) {
  alignas(nlmsghdr) std::array<char, buffer_size> buffer;
  sockaddr_nl sender{};
  iovec vector{.iov_base = buffer.data(), .iov_len = buffer.size()};
  msghdr datagram{.msg_name = &sender, .msg_namelen = sizeof sender, .msg_iov = &vector, .msg_iovlen = 1};
  ssize_t got = 0;
  do {
    got = ::recvmsg(nl_socket_get_fd(socket), &datagram, flags);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return errno;
  if ((datagram.msg_flags & MSG_TRUNC) != 0) return EMSGSIZE;
  if (sender.nl_pid != 0) return 0;  // from another program, not the kernel
  int left = static_cast<int>(got);
  // libnl walks with non-const pointers but does not write.
  for (auto* header = reinterpret_cast<nlmsghdr*>(buffer.data()); nlmsg_ok(header, left) != 0;
       header = nlmsg_next(header, &left)) {
    visit(*header);
  }
  return 0;
}

int transact(nl_sock* socket, nl_msg* message, const Visitor& visit) {
  nlmsghdr* request = nlmsg_hdr(message);
  request->nlmsg_seq = NL_AUTO_SEQ;  // a repeated message needs a new number
  nl_complete_msg(socket, message);
  request->nlmsg_flags |= NLM_F_ACK;
  ssize_t sent = 0;
  do {
    sent = ::send(nl_socket_get_fd(socket), request, request->nlmsg_len, 0);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return errno;

  bool done = false;
  bool torn = false;
  int error = 0;
  while (!done) {
    const int failed = receive(socket, 0, [&](const nlmsghdr& header) {
      if (header.nlmsg_seq != request->nlmsg_seq) return;  // belongs to an abandoned request
      if ((header.nlmsg_flags & NLM_F_DUMP_INTR) != 0) torn = true;
      if (header.nlmsg_type == NLMSG_ERROR || header.nlmsg_type == NLMSG_DONE) {
        done = true;
        error = reported_error(header);
      } else if (visit) {
        visit(header);
      }
    });
    if (failed != 0) return failed;
  }
  return error == 0 && torn ? EINTR : error;
}

std::uint32_t get_be32(const nlattr* attribute) { return ntohl(get<std::uint32_t>(attribute)); }

std::string_view get_bytes(const nlattr* attribute) {
  if (attribute == nullptr) return {};
  return {static_cast<const char*>(nla_data(attribute)), static_cast<std::size_t>(nla_len(attribute))};
}

std::string_view get_text(const nlattr* attribute) {
  const auto bytes = get_bytes(attribute);
  return bytes.substr(0, bytes.find('\0'));
}

}  // namespace hostnet::netlink
