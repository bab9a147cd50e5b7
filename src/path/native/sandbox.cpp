// Builds the sandbox, on both sides of the fork.
#include "path/native/sandbox.hpp"

#include "core/file.hpp"
#include "core/random.hpp"
#include "engine/hosts_file.hpp"
#include "hostnet/error.hpp"
#include "hostnet/exposer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace hostnet::exposer {
namespace {

constexpr const char* kHosts = "/etc/hosts";
constexpr char kReady = '\0';  // the child's first byte if it is ready; any other text is the reason why not

[[noreturn]] void give_up(const Error& error, int exit_code) {
  std::fprintf(stderr, "tc-hostnet: %s\n", error.what());
  ::_exit(exit_code);
}

// Mounts a copy of the host's file with the alias over it, visible only to the child and its children. The
// copy is in a file system of no other mount namespace, so it ends with the child in every case.
void mount_hosts_file(Ipv4 gateway) {
  const auto text =
      engine::with_alias(try_read_file(kHosts).value_or("127.0.0.1\tlocalhost\n"), kAlias, gateway, "run");
  constexpr const char* folder = "/proc";  // exists on every system; covered only for these few lines
  constexpr const char* path = "/proc/hosts";
  const auto check = [](bool done) {
    if (!done) throw Error::from_errno(fmt::format("mount a hosts file over {}", kHosts), errno);
  };
  check(::mount("tc-hostnet", folder, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755") == 0);
  {
    const Fd fd(::open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    check(fd.get() >= 0);
    write_all(fd.get(), text);
    check(::fchmod(fd.get(), 0644) == 0);
  }
  check(::mount(path, kHosts, nullptr, MS_BIND, nullptr) == 0);
  check(::umount2(folder, MNT_DETACH) == 0);  // the mount on the hosts file keeps what it needs
}

std::vector<std::string> read_command(int channel) {
  // Words, each with a final NUL; the first is the gateway.
  const auto text = read_all(channel, 64U << 20);
  std::vector<std::string> words;
  for (std::size_t at = 0; at < text.size();) {
    words.emplace_back(text.c_str() + at);
    at += words.back().size() + 1;
  }
  return words;
}

[[noreturn]] void child(Fd channel, pid_t parent) {
  bool ready = false;
  try {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(125);  // the parent died before prctl()
    if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0)
      throw Error::from_errno("make a network namespace", errno);
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      throw Error::from_errno("make the mounts private", errno);
    netlink::Rtnl rtnl;
    if (const auto loopback = rtnl.link("lo")) rtnl.set_up(loopback->ifindex);
    write_all(channel.get(), {&kReady, 1});
    ready = true;
    const auto words = read_command(channel.get());
    if (words.size() < 2) ::_exit(125);  // the parent gave up and has reported why
    mount_hosts_file(Ipv4::parse(words.front()).value());

    std::vector<char*> arguments;
    for (auto word = words.begin() + 1; word != words.end(); ++word)
      arguments.push_back(const_cast<char*>(word->c_str()));
    arguments.push_back(nullptr);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execvp(arguments.front(), arguments.data());
    give_up(Error::from_errno(fmt::format("run {}", words[1]), errno), errno == ENOENT ? 127 : 126);
  } catch (const Error& error) {
    if (ready) give_up(error, 125);
    // The parent still waits and reports the reason.
    const std::string_view why = error.what();
    [[maybe_unused]] const auto told = ::write(channel.get(), why.data(), why.size());
    ::_exit(125);
  }
}

}  // namespace

std::optional<SandboxNet> free_net(const std::vector<netlink::Route>& routes,
                                   const std::vector<netlink::Address>& addresses) {
  constexpr Ipv4 first{198U << 24 | 18U << 16};
  constexpr std::uint32_t step = 4;
  const auto overlaps = [](Ipv4 net, Ipv4 other, unsigned length) {
    return contains(net, std::min(length, SandboxNet::prefix), other);
  };
  for (std::uint32_t offset = 1U << 17; offset >= step; offset -= step) {
    const Ipv4 net{first.host + offset - step};
    const bool taken =
        std::ranges::any_of(
            routes, [&](const auto& r) { return r.prefix > 0 && overlaps(net, r.destination, r.prefix); }) ||
        std::ranges::any_of(addresses, [&](const auto& a) { return overlaps(net, a.address, a.prefix); });
    if (!taken) return SandboxNet{{net.host + 1}, {net.host + 2}};
  }
  return std::nullopt;
}

SandboxNet next_net(netlink::Rtnl& host) {
  const auto net = free_net(host.routes(), host.addresses());
  if (!net)
    throw Error(Errc::conflict, "no /30 of 198.18.0.0/15 is free on this host",
                "end other `tc-hostnet run`s");
  return *net;
}

Sandbox::Sandbox() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    throw Error::from_errno("socketpair", errno);
  channel_.reset(ends[0]);
  Fd theirs(ends[1]);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) throw Error::from_errno("fork", errno);
  if (pid_ == 0) {
    channel_.reset();
    child(std::move(theirs), parent);
  }
  theirs.reset();
  std::string said(1, '?');
  if (::read(channel_.get(), said.data(), 1) == 1 && said.front() == kReady) return;
  if (said.front() != '?') said += read_all(channel_.get(), 4096);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
  throw Error(Errc::no_path, fmt::format("cannot make the command's network namespace: {}", said),
              "run it as root");
}

Sandbox::~Sandbox() {
  if (command_sent_ || pid_ < 0) return;
  channel_.reset();  // end of file for the child, which exits
  ::waitpid(pid_, nullptr, 0);
}

netlink::Link Sandbox::connect(LeaseStore& store, Deadline deadline) {
  const auto netns_path = fmt::format("/proc/{}/ns/net", pid_);
  netns_.reset(::open(netns_path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!netns_) throw Error::from_errno(fmt::format("open {}", netns_path), errno);
  netlink::Rtnl host;
  auto inside = netlink::Rtnl::in_namespace(netns_.get());
  const auto transaction =
      store.begin(deadline);  // its lock keeps two sandboxes from choosing the same network

  net_ = next_net(host);
  const auto name = "tchn-" + random_hex(8);
  host.add_veth(name, "eth0", netns_.get());
  auto outer = host.link(name);
  const auto inner = inside.link("eth0");
  if (!outer || !inner) throw Error(Errc::failure, fmt::format("the veth pair {} is gone", name));
  host.add_address(outer->ifindex, net_.gateway, SandboxNet::prefix);
  host.set_up(outer->ifindex);
  inside.add_address(inner->ifindex, net_.address, SandboxNet::prefix);
  inside.set_up(inner->ifindex);
  inside.add_default_route(net_.gateway, inner->ifindex);
  return *outer;
}

void Sandbox::run(const std::vector<std::string>& command) {
  std::string words = net_.gateway.to_string() + '\0';
  for (const auto& word : command) words += word + '\0';
  write_all(channel_.get(), words);
  command_sent_ = true;
  channel_.reset();
}

}  // namespace hostnet::exposer
