// Messages and their attributes, and datagrams that are no answer of the kernel.
#include "netlink/request.hpp"
#include "support/expect_error.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include <linux/netlink.h>

#include <array>

using namespace hostnet;
using namespace hostnet::netlink;

namespace {

// A message with one attribute of these bytes, with number 1.
Message with_attribute(std::string_view bytes) {
  auto message = make_message(7, 0, std::uint32_t{0});
  put(message.get(), 1, bytes.data(), bytes.size());
  return message;
}

const nlattr* first_of(const Message& message) {
  return Attributes<1>(*nlmsg_hdr(message.get()), sizeof(std::uint32_t))[1];
}

void send_to(nl_sock* receiver, nl_sock* sender, std::string_view bytes) {
  sockaddr_nl to{};
  to.nl_family = AF_NETLINK;
  to.nl_pid = nl_socket_get_local_port(receiver);
  REQUIRE(::sendto(nl_socket_get_fd(sender), bytes.data(), bytes.size(), 0,
                   reinterpret_cast<const sockaddr*>(&to), sizeof to) == static_cast<ssize_t>(bytes.size()));
}

}  // namespace

TEST_CASE("attributes that are absent or too short are zero, and text needs no NUL") {
  using namespace std::string_view_literals;
  CHECK(get<std::uint32_t>(nullptr) == 0);
  CHECK(get<std::uint32_t>(first_of(with_attribute("\1\2\3"))) == 0);
  CHECK(get_be32(first_of(with_attribute("\0\0\1\2"sv))) == 0x102);
  CHECK(get_text(nullptr).empty());
  const auto text = with_attribute("eth0");
  CHECK(get_text(first_of(text)) == "eth0");
  const auto ended = with_attribute("eth0\0x"sv);
  CHECK(get_text(first_of(ended)) == "eth0");
  CHECK(get_bytes(first_of(ended)) == "eth0\0x"sv);
  // A message that is shorter than its fixed header.
  const auto short_one = make_message(7, 0, std::uint8_t{1});
  CHECK(payload<std::array<std::uint32_t, 4>>(*nlmsg_hdr(short_one.get()))[0] == 0);
  CHECK(Attributes<1>(*nlmsg_hdr(short_one.get()), 64)[1] == nullptr);
  CHECK(Attributes<1>(static_cast<const nlattr*>(nullptr))[1] == nullptr);
}

TEST_CASE("an attribute that does not fit into the message is an error") {
  const auto message = make_message(7, 0, std::uint32_t{0});
  const std::string large(60'000, 'x');
  const auto error = test::error_of([&] { put(message.get(), 1, large); });
  CHECK(error.sys_errno() == EMSGSIZE);
  CHECK(std::string(error.what()).find("60001 bytes do not fit into a netlink message") == 0);
}

TEST_CASE("what another program sends is not taken for the kernel's answer") {
  const auto ours = open_socket(NETLINK_USERSOCK);
  const auto other = open_socket(NETLINK_USERSOCK);
  int visited = 0;
  const auto count = [&](const nlmsghdr&) { ++visited; };
  CHECK(receive(ours.get(), MSG_DONTWAIT, count) == EAGAIN);
  const auto message = with_attribute("forged");
  const auto* const header = nlmsg_hdr(message.get());
  send_to(ours.get(), other.get(), {reinterpret_cast<const char*>(header), header->nlmsg_len});
  CHECK(receive(ours.get(), MSG_DONTWAIT, count) == 0);
  CHECK(visited == 0);
  send_to(ours.get(), other.get(), std::string(40'000, '\0'));
  CHECK(receive(ours.get(), MSG_DONTWAIT, count) == EMSGSIZE);
  CHECK(receive(ours.get(), MSG_DONTWAIT, count) == EAGAIN);
}

TEST_CASE("a protocol to which the kernel does not listen, and one that it does not have") {
  const auto socket = open_socket(NETLINK_USERSOCK);
  const auto message = with_attribute("anyone?");
  CHECK(transact(socket.get(), message.get()) == ECONNREFUSED);
  const auto error = test::error_of([] { open_socket(MAX_LINKS - 1); });
  CHECK(error.sys_errno() == EPROTONOSUPPORT);
  CHECK(std::string(error.what()).find("open a netlink socket of protocol 31") == 0);
}
