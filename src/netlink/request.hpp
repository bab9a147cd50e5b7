// The one way to talk to the kernel in this folder: build a message, send it, walk the replies. libnl's own
// receive loop is not used: it folds errno into fewer codes of its own, hides dumps that a change tore, and
// calls back through C, where no exception may pass.
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

/// A socket that was made, perhaps in another network namespace, by socket(2) with that protocol. @throws
/// Error.
Socket adopt_socket(Fd made, int protocol);

/// An empty message of a type with NLM_F_* flags; NLM_F_REQUEST is implied. @throws std::bad_alloc.
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
/// Includes the terminating NUL.
void put(nl_msg* message, int attribute, const std::string& text);

/// Receives one datagram from the kernel and visits its messages. `flags` as in recv(2).
/// @return 0 or errno: EAGAIN when none is pending and MSG_DONTWAIT is set, ENOBUFS when the kernel dropped
///         some.
int receive(nl_sock* socket, int flags, const Visitor& visit);

/// Sends a message and receives until its acknowledgement or the dump's end, visiting all other messages.
/// @return 0 or the errno in the kernel's answer; EINTR when a change tore the dump.
int transact(nl_sock* socket, nl_msg* message, const Visitor& visit = {});

/// transact() for a dump: `parse` appends an item for each message. Repeats a torn dump.
/// @return 0 or errno.
template <class Item, class Parse>
int dump(nl_sock* socket, nl_msg* message, std::vector<Item>& items, Parse parse) {
  constexpr int attempts = 50;  // each takes microseconds; changes are never that frequent for that long
  int error = EINTR;
  for (int i = 0; i < attempts && error == EINTR; ++i) {
    items.clear();
    error = transact(socket, message, [&](const nlmsghdr& header) { parse(header, items); });
  }
  return error;
}

/// A message's fixed header; Header{} when the message is shorter.
template <class Header>
Header payload(const nlmsghdr& message) {
  Header header{};
  if (nlmsg_datalen(&message) >= static_cast<int>(sizeof header)) {
    std::memcpy(&header, nlmsg_data(&message), sizeof header);
  }
  return header;
}

/// The attributes of a message after its `Header`, or of a nest, with numbers up to `Max`. Ignores unknown
/// ones.
template <int Max>
class Attributes {
 public:
  Attributes() = default;
  Attributes(const nlmsghdr& header, std::size_t header_size) {
    const int size = static_cast<int>(header_size);
    if (nlmsg_valid_hdr(&header, size) != 0)
      fill(nlmsg_attrdata(&header, size), nlmsg_attrlen(&header, size));
  }
  /// The attributes of a nest; none for nullptr.
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

/// The attribute's value; Value{} when it is absent or shorter.
template <class Value>
Value get(const nlattr* attribute) {
  Value value{};
  if (attribute != nullptr && nla_len(attribute) >= static_cast<int>(sizeof value)) {
    std::memcpy(&value, nla_data(attribute), sizeof value);
  }
  return value;
}
/// A number in network byte order, as in netfilter's messages.
std::uint32_t get_be32(const nlattr* attribute);
/// The text up to its NUL or the attribute's end; empty when absent. Valid as long as the message.
std::string_view get_text(const nlattr* attribute);
/// All bytes of the attribute. Valid as long as the message.
std::string_view get_bytes(const nlattr* attribute);

}  // namespace hostnet::netlink
