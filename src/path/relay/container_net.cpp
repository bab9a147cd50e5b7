// Opens the namespaces, and the child that enters them.
#include "path/relay/container_net.hpp"

#include "core/file.hpp"
#include "core/signals.hpp"
#include "core/strings.hpp"
#include "engine/alias.hpp"
#include "hostnet/error.hpp"
#include "path/relay/port_map.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/nsfs.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <optional>
#include <utility>

namespace hostnet::relay {
namespace {

union Control {
  cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int))];
};

// --- In the child: system calls only. ---

void answer(int channel, Answer answer, int socket) {
  iovec part{&answer, sizeof answer};
  Control control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (answer.error == 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    auto* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof socket);
    std::memcpy(CMSG_DATA(header), &socket, sizeof socket);
  }
  [[maybe_unused]] const auto sent = ::sendmsg(channel, &message, MSG_NOSIGNAL);
}

Answer make(const Wish& wish, PortMap& map, int& socket) {
  if (wish.map != nullptr) {
    const int error = map.open(wish.map, wish.address);
    socket = map.socket();
    return {Step::map, error};
  }
  if (map.is_open() && !wish.routes) return map.add(wish.door, socket);
  if (!wish.routes)
    return make_bound_socket(wish.door, wish.address, socket, wish.device[0] == '\0' ? nullptr : wish.device);
  socket = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  return {Step::make, socket < 0 ? errno : 0};
}

[[noreturn]] void make_in_child(int channel, int userns, int netns, pid_t parent, const Wish* wishes,
                                std::size_t count) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_DUMPABLE, 0);
  if (::getppid() != parent) ::_exit(1);
  if (userns >= 0 && ::setns(userns, CLONE_NEWUSER) != 0) {
    answer(channel, {Step::enter_user, errno}, -1);
    ::_exit(1);
  }
  if (::setns(netns, CLONE_NEWNET) != 0) {
    answer(channel, {Step::enter_net, errno}, -1);
    ::_exit(1);
  }
  PortMap map;
  for (std::size_t i = 0; i < count; ++i) {
    int socket = -1;
    const auto result = make(wishes[i], map, socket);
    answer(channel, result, socket);
    if (wishes[i].map != nullptr) continue;
    if (result.error != 0) ::_exit(1);
    ::close(socket);
  }
  ::_exit(0);
}

// --- In the parent. ---

class MakingChild {
 public:
  MakingChild(const Fd& netns, const Fd& userns, const std::vector<Wish>& wishes) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
      throw Error::from_errno("socketpair", errno);
    channel_.reset(ends[0]);
    const Fd theirs(ends[1]);
    const auto parent = ::getpid();
    int cause = 0;
    {
      const SignalsBlocked blocked;  // no handler of the program may run in the child
      pid_ = ::fork();
      cause = errno;
      if (pid_ == 0)
        make_in_child(theirs.get(), userns.get(), netns.get(), parent, wishes.data(), wishes.size());
    }
    if (pid_ < 0) throw Error::from_errno("fork", cause);
  }
  MakingChild(const MakingChild&) = delete;
  MakingChild& operator=(const MakingChild&) = delete;
  ~MakingChild() {
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  /// nullopt when the child has ended or the deadline has passed.
  std::optional<std::pair<Answer, Fd>> next(Deadline deadline) const {
    for (;;) {
      pollfd poll{channel_.get(), POLLIN, 0};
      const int ready = ::poll(&poll, 1, deadline.poll_timeout());
      if (ready < 0 && errno == EINTR) continue;
      if (ready <= 0) return std::nullopt;
      break;
    }
    Answer got;
    iovec part{&got, sizeof got};
    Control control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    if (::recvmsg(channel_.get(), &message, MSG_CMSG_CLOEXEC) != sizeof got) return std::nullopt;
    Fd socket;
    const auto* const header = CMSG_FIRSTHDR(&message);
    if (header != nullptr && header->cmsg_type == SCM_RIGHTS) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
      socket.reset(fd);
    }
    return std::pair(got, std::move(socket));
  }

 private:
  pid_t pid_ = -1;
  Fd channel_;
};

Error not_enterable(const std::string& container, int cause) {
  return {Errc::no_path,
          fmt::format("the network of container {} is not this user's: {}", container, std::strerror(cause)),
          "run it as root, or run it as the user whose engine runs the container", cause};
}

Error gone(const std::string& container) {
  return {Errc::not_found, fmt::format("container {} has stopped", container)};
}

bool is_same_file(int one, int other) {
  struct stat a {};
  struct stat b {};
  return ::fstat(one, &a) == 0 && ::fstat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

Fd open_own(const char* which) {
  const auto path = fmt::format("/proc/self/ns/{}", which);
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) throw Error::from_errno("open " + path, errno);
  return fd;
}

// alias_record() looks for evidence in the hosts file; here the process matters, whoever mounted that.
engine::AliasRecord evidence_of(engine::Container container) {
  container.hosts_mounted = false;
  container.running = container.pid > 0;  // one that is only initialised has a network, too
  try {
    return engine::alias_record(container);
  } catch (const Error& error) {
    if (error.code() == Errc::not_authorised) throw not_enterable(container.name, EACCES);
    if (error.code() == Errc::not_found || error.code() == Errc::conflict)
      throw Error(Errc::no_path, error.what());
    throw;
  }
}

}  // namespace

Error cannot_listen(const std::string& container, Answer answer, Ipv4 address, std::uint16_t port) {
  if (answer.step == Step::enter_user || answer.step == Step::enter_net)
    return not_enterable(container, answer.error);
  if (answer.error == EADDRINUSE)
    return {Errc::conflict, fmt::format("port {} is in use in container {}", port, container),
            "choose another container port (HOST:CONTAINER)", EADDRINUSE};
  if (answer.error == EADDRNOTAVAIL)
    return {Errc::failure, fmt::format("the loopback interface of container {} is down", container),
            "set it up in the container: ip link set lo up", EADDRNOTAVAIL};
  return {Errc::failure,
          fmt::format("cannot listen at {}:{} in container {}: {}", address.to_string(), port, container,
                      std::strerror(answer.error)),
          {},
          answer.error};
}

Error uses_our_network(const std::string& container) {
  return {Errc::no_path,
          fmt::format("container {} uses this host's network: it reaches 127.0.0.1 as it is", container),
          "dial 127.0.0.1 in the container"};
}

ContainerNet open_container_net(const engine::Container& container) {
  const auto record = evidence_of(container);
  ContainerNet net;
  net.container = container.name;
  net.pid = record.pid;
  net.process.reset(static_cast<int>(::syscall(SYS_pidfd_open, record.pid, 0)));
  if (!net.process) {
    if (errno == ESRCH) throw gone(container.name);
    throw Error::from_errno("pidfd_open", errno);
  }
  const auto path = fmt::format("/proc/{}/ns/net", record.pid);
  net.netns.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const int cause = errno;
  if (process_start_time(record.pid) != record.pid_start) throw gone(container.name);
  if (!net.netns && (cause == EACCES || cause == EPERM)) return net;
  // A process that has ended and is not waited for yet has left its namespaces.
  if (!net.netns && (cause == ENOENT || cause == ESRCH)) throw gone(container.name);
  if (!net.netns) throw not_enterable(container.name, cause);
  if (is_our_netns(net.netns)) throw uses_our_network(container.name);
  net.userns = owner_of(net.netns, container.name);
  return net;
}

bool has_ended(const Fd& process) noexcept {
  pollfd poll{process.get(), POLLIN, 0};
  return ::poll(&poll, 1, 0) != 0;
}

bool is_our_netns(const Fd& netns) { return is_same_file(netns.get(), open_own("net").get()); }

std::uint64_t inode_of(const Fd& netns) {
  struct stat status {};
  if (::fstat(netns.get(), &status) != 0) throw Error::from_errno("fstat of a network namespace", errno);
  return status.st_ino;
}

std::uint64_t own_netns_inode() { return inode_of(open_own("net")); }

Fd owner_of(const Fd& netns, const std::string& container) {
  Fd userns(::ioctl(netns.get(), NS_GET_USERNS));
  if (!userns) throw not_enterable(container, errno);
  ::fcntl(userns.get(), F_SETFD, FD_CLOEXEC);
  if (is_same_file(userns.get(), open_own("user").get())) userns.reset();
  return userns;
}

std::vector<std::pair<Answer, Fd>> make_inside(const Fd& netns, const Fd& userns, const std::string& whose,
                                               const std::vector<Wish>& wishes, Deadline deadline) {
  std::vector<std::pair<Answer, Fd>> out;
  const MakingChild child(netns, userns, wishes);
  const auto has_failed = [&] {
    if (out.empty() || out.back().first.error == 0) return false;
    return wishes[out.size() - 1].map == nullptr || out.back().first.step != Step::map;
  };
  while (out.size() < wishes.size() && !has_failed()) {
    auto got = child.next(deadline);
    if (!got)
      throw Error(deadline.expired() ? Errc::timed_out : Errc::failure,
                  fmt::format("no socket came from the network of container {}", whose));
    if (got->first.error == 0 && !got->second)
      throw Error(Errc::failure, "no descriptor is free for a socket", "see ulimit -n");
    out.push_back(std::move(*got));
  }
  return out;
}

Door door_of(const HostPort& port) noexcept {
  return {port.container, port.protocol == Protocol::udp ? SOCK_DGRAM : SOCK_STREAM};
}

OpenDoors bind_inside(const ContainerNet& net, Ipv4 address, const std::vector<Door>& doors,
                      const std::string& lease, Deadline deadline) {
  std::vector<Wish> wishes{{.address = address.network(), .map = lease.c_str()}};
  for (const auto& door : doors) wishes.push_back({.door = door, .address = address.network()});
  auto made = make_inside(net.netns, net.userns, net.container, wishes, deadline);
  OpenDoors out;
  // The first answer may be the child's that it could not enter.
  const auto& first = made.front().first;
  if (first.error != 0 && first.step != Step::map) throw cannot_listen(net.container, first, address, 0);
  out.map_error = first.error;
  out.map = std::move(made.front().second);
  for (std::size_t i = 1; i < made.size(); ++i) {
    auto& [answer, socket] = made[i];
    if (answer.error != 0) throw cannot_listen(net.container, answer, address, doors[i - 1].port);
    out.sockets.push_back(std::move(socket));
  }
  return out;
}

std::uint16_t bound_port(const Fd& socket) {
  sockaddr_in bound{};
  socklen_t size = sizeof bound;
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0) return 0;
  return ntohs(bound.sin_port);
}

std::vector<std::uint16_t> listening_ports(std::string_view proc_net, Protocol protocol) {
  // TCP_LISTEN; and TCP_CLOSE, which stands for an unconnected UDP socket.
  const std::string_view state = protocol == Protocol::tcp ? "0A" : "07";
  std::vector<std::uint16_t> out;
  for (const auto line : split(proc_net, '\n')) {
    // "   0: 0100007F:1F90 00000000:0000 0A …"
    std::vector<std::string_view> fields;
    for (const auto field : split(trim(line), ' '))
      if (!field.empty()) fields.push_back(field);
    if (fields.size() < 4 || fields[3] != state) continue;
    const auto hex = fields[1].substr(fields[1].rfind(':') + 1);
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), port, 16);
    if (error == std::errc{} && end == hex.data() + hex.size()) out.push_back(port);
  }
  return out;
}

std::vector<std::uint16_t> listening_ports(const ContainerNet& net, Protocol protocol) {
  std::vector<std::uint16_t> out;
  for (const auto* const version : {"", "6"}) {
    const auto text =
        try_read_file(fmt::format("/proc/{}/net/{}{}", net.pid, to_string(protocol), version)).value_or("");
    const auto found = listening_ports(text, protocol);
    out.insert(out.end(), found.begin(), found.end());
  }
  std::ranges::sort(out);
  return out;
}

}  // namespace hostnet::relay
