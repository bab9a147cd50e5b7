// The program of the relay path's hand-off: runs once in a container that shares the target's network, binds
// the lease's ports there, behind a port map if it may make one, sends the sockets to tc-hostnet by a Unix
// socket, and ends. It also opens the target's hosts file for tc-hostnet, which edits it.
// path/relay/handoff_message.hpp has its arguments and messages.
//
// It is the whole content of an image, so it is static and calls the C library only: no C++ runtime. It
// trusts its arguments no further than it must: anything unexpected ends it before it connects. Its exit
// status is for a person who looks at the engine's events; tc-hostnet goes by the messages alone.
//
//   status   meaning
//   0        all descriptors were sent
//   2        its arguments or the token are not what tc-hostnet passes
//   3        the Unix socket refuses
//   4        a descriptor could not be made; the message says why
//   5        tc-hostnet hung up
#include "path/relay/handoff_message.hpp"
#include "path/relay/port_map.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace {

using hostnet::relay::Door;
using hostnet::relay::HandoffMessage;
using hostnet::relay::PortMap;
using hostnet::relay::Step;

constexpr int kBadArguments = 2;
constexpr int kNoConnection = 3;
constexpr int kNoDescriptor = 4;
constexpr int kHungUp = 5;

constexpr int kFirstPort = 5;  // argument

// A process in the target may hold a lease on its hosts file (fcntl(2)): then opening it waits.
constexpr int kOpenTries = 50;
constexpr timespec kOpenPause{0, 20'000'000};
// As the first process of its pid namespace it gets no SIGALRM; so no call of it may block for longer.
constexpr timeval kSendSpan{10, 0};

bool is_token(const char* text) {
  if (text == nullptr || std::strlen(text) != hostnet::relay::kTokenDigits) return false;
  return std::strspn(text, "0123456789abcdef") == hostnet::relay::kTokenDigits;
}

// Port 0 for text that is no door.
Door door_of(const char* text) {
  auto length = std::strlen(text);
  const auto suffix = std::strlen(hostnet::relay::kUdpSuffix);
  const bool udp = length > suffix && std::strcmp(text + length - suffix, hostnet::relay::kUdpSuffix) == 0;
  if (udp) length -= suffix;
  if (length == 0 || length > 5 || std::strspn(text, "0123456789") != length || text[0] == '0') return {0};
  unsigned long value = 0;
  for (const char* digit = text; digit != text + length; ++digit)
    value = value * 10 + static_cast<unsigned long>(*digit - '0');
  return {value <= UINT16_MAX ? static_cast<std::uint16_t>(value) : std::uint16_t{0},
          udp ? SOCK_DGRAM : SOCK_STREAM};
}

int connect_to(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto length = std::strlen(path);
  if (length == 0 || length >= sizeof address.sun_path) return -1;
  std::memcpy(address.sun_path, path, length);
  const int channel = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (channel < 0) return -1;
  ::setsockopt(channel, SOL_SOCKET, SO_SNDTIMEO, &kSendSpan, sizeof kSendSpan);
  return ::connect(channel, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? channel : -1;
}

// `descriptor` goes with a message without an error.
bool send_message(int channel, HandoffMessage message, int descriptor) {
  iovec part{&message, sizeof message};
  union {
    cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control{};
  msghdr whole{};
  whole.msg_iov = &part;
  whole.msg_iovlen = 1;
  if (message.error == 0) {
    whole.msg_control = control.bytes;
    whole.msg_controllen = sizeof control.bytes;
    auto* const header = CMSG_FIRSTHDR(&whole);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  }
  return ::sendmsg(channel, &whole, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof message);
}

int open_hosts(const char* path) {
  for (int i = 0;; ++i) {
    const int file = ::open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file >= 0 || errno != EAGAIN || i == kOpenTries) return file;
    ::nanosleep(&kOpenPause, nullptr);
  }
}

}  // namespace

int main(int count, char** words) {
  HandoffMessage message;
  const char* const token = std::getenv(hostnet::relay::kTokenVariable);
  in_addr address{};
  const bool with_hosts = count > 3 && std::strcmp(words[2], hostnet::relay::kNoHosts) != 0;
  if (count < kFirstPort + (with_hosts ? 0 : 1) || !is_token(token) ||
      ::inet_pton(AF_INET, words[3], &address) != 1)
    return kBadArguments;
  for (int i = kFirstPort; i < count; ++i)
    if (door_of(words[i]).port == 0) return kBadArguments;
  std::memcpy(message.token, token, sizeof message.token);

  const int channel = connect_to(words[1]);
  if (channel < 0) return kNoConnection;
  if (with_hosts) {
    const int file = open_hosts(words[2]);
    message.step = Step::hosts;
    message.error = file < 0 ? errno : 0;
    if (!send_message(channel, message, file)) return kHungUp;
    if (message.error != 0) return kNoDescriptor;
    ::close(file);
  }
  PortMap map;
  if (std::strcmp(words[4], hostnet::relay::kNoMap) != 0) {
    message.step = Step::map;
    message.error = map.open(words[4], address.s_addr);
    if (!send_message(channel, message, map.socket())) return kHungUp;
  }
  for (int i = kFirstPort; i < count; ++i) {
    const auto door = door_of(words[i]);
    message.port = door.port;
    int socket = -1;
    const auto made = map.is_open() ? map.add(door, socket)
                                    : hostnet::relay::make_bound_socket(door, address.s_addr, socket);
    message.step = made.step;
    message.error = made.error;
    if (!send_message(channel, message, socket)) return kHungUp;
    if (made.error != 0) return kNoDescriptor;
    ::close(socket);
  }
  return 0;
}
