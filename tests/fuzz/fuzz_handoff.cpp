// Interprets arbitrary bytes as peers of a hand-off: connections that send messages of any size and content,
// with or without the token, with any number of descriptors of any kind, in any order, and hang up. The
// receiver may refuse with hostnet::Error, nothing else. It never returns a socket, as all of these are in
// its own network namespace, nor a hosts file but the one that is right; and every descriptor that it does
// not return is closed.
#include "core/fd.hpp"
#include "hostnet/error.hpp"
#include "input.hpp"
#include "path/relay/container_net.hpp"
#include "path/relay/handoff_message.hpp"
#include "path/relay/handoff_receiver.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/netlink.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

using namespace hostnet;
using namespace hostnet::relay;

using fuzz::Input;
using fuzz::require;

namespace {

constexpr std::uint16_t kPort = 4711;
const std::string kToken(kTokenDigits, 'a');

struct Bed {
  std::string folder;
  std::string socket;
  Fd listener;
  Fd hosts;
  std::array<Fd, 5> others;  // a bound socket, UDP, a device, the hosts file for reading, netlink
};

Bed& bed() {
  static Bed made = [] {
    Bed out;
    std::string name = (std::filesystem::temp_directory_path() / "fuzz-handoff-XXXXXX").string();
    require(::mkdtemp(name.data()) != nullptr);
    out.folder = name;
    out.socket = name + "/s";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    require(out.socket.size() < sizeof address.sun_path);
    std::memcpy(address.sun_path, out.socket.data(), out.socket.size());
    out.listener.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    require(::bind(out.listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    require(::listen(out.listener.get(), 16) == 0);
    const auto hosts = name + "/hosts";
    out.hosts.reset(::open(hosts.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    int bound = -1;
    make_bound_socket(kPort, kInside.network(), bound);
    out.others[0].reset(bound);
    out.others[1].reset(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    out.others[2].reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
    out.others[3].reset(::open(hosts.c_str(), O_RDONLY | O_CLOEXEC));
    out.others[4].reset(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
    static const struct Remover {
      std::string folder;
      ~Remover() { std::filesystem::remove_all(folder); }
    } remover{name};
    return out;
  }();
  return made;
}

void send_one(int peer, Input& input) {
  HandoffMessage message;
  const auto kind = input.next();
  std::memcpy(message.token, kToken.data(), sizeof message.token);
  if (kind % 4 == 0) message.token[input.next() % kTokenDigits] = static_cast<char>(input.next());
  const std::array<std::uint16_t, 4> ports{0, kPort, kPort, 1};
  message.port = ports[input.next() % ports.size()];
  message.step = static_cast<Step>(input.next() % 10U);  // one of each, and others
  if (kind % 8 == 1) message.error = input.next();
  std::vector<char> bytes(sizeof message + 300);
  std::memcpy(bytes.data(), &message, sizeof message);
  const std::size_t size =
      kind % 16 < 13 ? sizeof message : input.next() + std::size_t{input.next() & 1U} * 100;
  std::vector<int> descriptors;
  const auto count = kind % 5 < 3 ? 1U : input.next() % 12U;
  for (unsigned i = 0; i < count; ++i) {
    const auto which = input.next() % 8U;
    descriptors.push_back(which < bed().others.size() ? bed().others[which].get() : bed().hosts.get());
  }
  iovec part{bytes.data(), size};
  alignas(cmsghdr) char control[CMSG_SPACE(16 * sizeof(int))] = {};
  msghdr whole{};
  whole.msg_iov = &part;
  whole.msg_iovlen = 1;
  if (!descriptors.empty()) {
    const auto length = descriptors.size() * sizeof(int);
    whole.msg_control = control;
    whole.msg_controllen = CMSG_SPACE(length);
    auto* const header = CMSG_FIRSTHDR(&whole);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(length);
    std::memcpy(CMSG_DATA(header), descriptors.data(), length);
  }
  ::sendmsg(peer, &whole, MSG_NOSIGNAL | MSG_DONTWAIT);
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for (int fd = 0; fd < 256; ++fd) count += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto& made = bed();
  const auto before = open_descriptors();
  Input input(data, size);
  const auto wanted = input.next();
  ExpectedHandoff expected{
      .container = "api", .token = kToken, .root = ::geteuid(), .hosts = wanted % 2 == 0};
  expected.address = kInside;
  expected.map = wanted % 32 < 16;
  if (wanted % 3 != 0 || !expected.hosts) expected.ports = {kPort};
  for (int peers = 0; peers < 4 && !input.empty(); ++peers) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, made.socket.data(), made.socket.size());
    const Fd peer(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    require(::connect(peer.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    for (auto messages = input.next() % 4U; messages > 0; --messages) send_one(peer.get(), input);
  }
  try {
    // Everything is there already.
    const auto got = receive_handoff(made.listener.get(), expected, Deadline::after(std::chrono::seconds{0}),
                                     [] { return true; });
    require(expected.ports.empty() && got.doors.sockets.empty() && !got.doors.map && got.hosts);
    struct stat ours {};
    struct stat theirs {};
    require(::fstat(made.hosts.get(), &ours) == 0 && ::fstat(got.hosts.get(), &theirs) == 0 &&
            ours.st_ino == theirs.st_ino);
  } catch (const Error& error) {
    require(error.code() == Errc::failure || error.code() == Errc::no_path ||
            error.code() == Errc::conflict || error.code() == Errc::timed_out);
  }
  for (Fd left(::accept4(made.listener.get(), nullptr, nullptr, SOCK_CLOEXEC)); left;)
    left.reset(::accept4(made.listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  require(open_descriptors() == before);
  return 0;
}
