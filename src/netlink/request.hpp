// One way to talk to the kernel for everything in this folder: build a message, send it, walk the replies.
// libnl's own receive loop is not used because it folds errno into fewer codes of its own, hides which dumps
// were torn by a change meanwhile, and calls back through C, where no exception may pass.
#pragma once

#include "core/fd.hpp"
#include "hostnet/error.hpp"
#include "netlink/socket.hpp"

#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::netlink {

using Message = unique_handle<nl_msg, nlmsg_free>;
using Visitor = std::function<void(const nlmsghdr&)>;

/// A connected socket of NETLINK_ROUTE, NETLINK_NETFILTER, … in the calling thread's netns. @throws Error.
Socket open_socket(int protocol);

/// An empty message of a type with NLM_F_* flags (NLM_F_REQUEST comes by itself). @throws std::bad_alloc.
Message make_message(int type, int flags, const void* header, std::size_t size);
template <class Header>
Message make_message(int type, int flags, const Header& header) {
  return make_message(type, flags, &header, sizeof header);
}

/// Appends an attribute. @throws Error when the message is full.
void put(nl_msg* message, int attribute, const void* data, std::size_t size);
inline void put(nl_msg* message, int attribute, std::uint32_t number) {
  put(message, attribute, &number, sizeof number);
}
/// With its closing NUL.
void put(nl_msg* message, int attribute, const std::string& text);

/// Receives one datagram of the kernel's and shows its messages. `flags` as in recv(2).
/// @return 0 or errno: EAGAIN when none waits and MSG_DONTWAIT is set, ENOBUFS when the kernel had to drop
/// some.
int receive(nl_sock* socket, int flags, const Visitor& visit);

/// Sends and receives up to the acknowledgement (or a dump's end). `visit` gets what is neither.
/// @return 0 or the errno of the kernel's answer; EINTR when a dump was torn by a change meanwhile.
int transact(nl_sock* socket, nl_msg* message, const Visitor& visit = {});

/// transact() for a dump: what `parse` appends to the vector for each message. Torn dumps are begun anew.
/// @return 0 or errno.
template <class Item, class Parse>
int dump(nl_sock* socket, nl_msg* message, std::vector<Item>& items, Parse parse) {
  constexpr int attempts = 50;  // each takes microseconds; nothing changes that often for that long
  int error = EINTR;
  for (int i = 0; i < attempts && error == EINTR; ++i) {
    items.clear();
    error = transact(socket, message, [&](const nlmsghdr& header) { parse(header, items); });
  }
  return error;
}

/// The fixed part that a message begins with; Header{} when the message is shorter than that.
template <class Header>
Header payload(const nlmsghdr& message) {
  Header header{};
  if (nlmsg_datalen(&message) >= static_cast<int>(sizeof header)) {
    std::memcpy(&header, nlmsg_data(&message), sizeof header);
  }
  return header;
}

/// The attributes of a message after its `Header`, or of a nest, up to number `Max`; unknown ones are
/// ignored.
template <int Max>
class Attributes {
 public:
  Attributes() = default;
  Attributes(const nlmsghdr& header, std::size_t header_size) {
    const int size = static_cast<int>(header_size);
    if (nlmsg_valid_hdr(&header, size) != 0)
      fill(nlmsg_attrdata(&header, size), nlmsg_attrlen(&header, size));
  }
  /// Of a nest; of nothing when there is none.
  explicit Attributes(const nlattr* nest) {
    if (nest != nullptr) fill(static_cast<nlattr*>(nla_data(nest)), nla_len(nest));
  }
  /// nullptr when it is absent.
  const nlattr* operator[](int attribute) const { return table_[static_cast<std::size_t>(attribute)]; }

 private:
  void fill(nlattr* first, int length) {
    if (nla_parse(table_.data(), Max, first, length, nullptr) < 0) table_.fill(nullptr);
  }
  std::array<nlattr*, std::size_t{Max} + 1> table_{};
};

/// The attribute's value; Value{} when it is absent or shorter than that.
template <class Value>
Value get(const nlattr* attribute) {
  Value value{};
  if (attribute != nullptr && nla_len(attribute) >= static_cast<int>(sizeof value)) {
    std::memcpy(&value, nla_data(attribute), sizeof value);
  }
  return value;
}
/// A number in network byte order, as netfilter sends them.
std::uint32_t get_be32(const nlattr* attribute);
/// Text up to its NUL or the attribute's end; empty when absent. Good as long as the message.
std::string_view get_text(const nlattr* attribute);
/// All of its bytes. Good as long as the message.
std::string_view get_bytes(const nlattr* attribute);

}  // namespace hostnet::netlink
