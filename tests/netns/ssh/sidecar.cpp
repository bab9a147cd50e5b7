// Starting, cutting and ending the sidecar.
#include "ssh/sidecar.hpp"

#include "core/file.hpp"
#include "path/sidecar/dial.hpp"
#include "path/sidecar/sshd.hpp"
#include "support/forked.hpp"
#include "support/sockets.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace test {
namespace {

using namespace hostnet;

// Gives the sidecar its own /run and /etc, like a container, so that this machine keeps its own. Root is
// locked, as in some images. $1 is the command that the engine would pass to the image's `sh -c`.
constexpr const char* kContainer = R"(set -e
mount -t tmpfs tmpfs /run
mkdir /run/etc
for file in group nsswitch.conf ld.so.cache; do cp "/etc/$file" /run/etc/; done
printf 'root:x:0:0::/:/bin/sh\nsshd:x:100:65534::/run/sshd:/bin/false\n' >/run/etc/passwd
printf 'root:!:19000:0:99999:7:::\nsshd:!:19000::::::\n' >/run/etc/shadow
mount --bind /run/etc /etc
exec /bin/sh -c "$1")";

constexpr const char* kBridge = R"(set -e
ip link add br0 type bridge
ip address add 198.18.50.1/24 dev br0
ip link set br0 up)";

void attach(const NetNs& netns, const std::string& port, const std::string& prefix_address) {
  exec(fmt::format("ip link add {0} type veth peer name eth0 netns {1} && ip link set {0} up master br0",
                   port, netns.path()));
  netns.exec(fmt::format("ip link set eth0 up && ip address add {}/24 dev eth0", prefix_address));
}

}  // namespace

std::map<std::uint16_t, ssh::Service> ports(
    std::initializer_list<std::pair<const std::uint16_t, std::uint16_t>> pairs) {
  std::map<std::uint16_t, ssh::Service> out;
  for (const auto& [container, host] : pairs) out[container] = {.port = host};
  return out;
}

Sidecar::Sidecar(std::map<std::uint16_t, ssh::Service> services, std::chrono::seconds lonely_limit,
                 const std::string& more_config)
    : address(ip("198.18.50.2")),
      container_address(ip("198.18.50.3")),
      services_(std::move(services)),
      client_(ssh::Key::generate()) {
  exec("ip link set lo up");
  exec(kBridge);
  attach(netns, "port2", address.to_string());
  attach(container, "port3", container_address.to_string());
  attach(neighbour, "port4", "198.18.50.4");

  const auto host_key = ssh::Key::generate();
  host_public_key_ = host_key.public_line();
  ssh::SshdSetup setup{.host_private_key = host_key.private_text(),
                       .client_public_key = client_.public_line(),
                       .lonely_limit = lonely_limit};
  for (const auto& [port, service] : services_) setup.listen_ports.push_back(port);
  for (const auto& [name, value] : ssh::sshd_sysctls())
    netns.exec(fmt::format("sysctl -qw {}={}", name, value));
  command_ = ssh::sshd_command(setup);
  environment_ = ssh::sshd_environment(setup);
  environment_.back() += more_config;
  environment_.emplace_back("PATH=/usr/sbin:/usr/bin:/sbin:/bin");
  std::ofstream(key_file()) << client_.private_text();
  std::filesystem::permissions(key_file(), std::filesystem::perms::owner_read);
  start();
}

Sidecar::~Sidecar() {
  kill();
  // sshd's log, for the analysis of a failure.
  if (std::getenv("SIDECAR_LOG") != nullptr) std::fputs(log().c_str(), stderr);
}

void Sidecar::start() {
  const auto log = (dir_.path() / "log").string();
  // Allocate everything for the child before the fork: other threads may hold the allocator's lock.
  const char* const arguments[] = {"unshare",  "--mount",      "--propagation",  "private", "--pid",
                                   "--fork",   "--kill-child", "--mount-proc",   "/bin/sh", "-c",
                                   kContainer, "sh",           command_.c_str(), nullptr};
  std::vector<const char*> environment;
  for (const auto& variable : environment_) environment.push_back(variable.c_str());
  environment.push_back(nullptr);
  process_ = ::fork();
  check_call(process_, "fork");
  if (process_ > 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int output = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (::setns(netns.fd(), CLONE_NEWNET) == 0 && ::dup2(output, STDOUT_FILENO) >= 0 &&
      ::dup2(output, STDERR_FILENO) >= 0)
    ::execve("/usr/bin/unshare", const_cast<char* const*>(arguments),
             const_cast<char* const*>(environment.data()));
  ::_exit(127);
}

void Sidecar::kill() {
  if (process_ < 0) return;
  ::kill(process_,
         SIGKILL);  // --kill-child also kills the namespace's first process, and so all of its processes
  await_child(process_);
  process_ = -1;
}

bool Sidecar::alive() {
  if (process_ < 0) return false;
  if (::waitpid(process_, nullptr, WNOHANG) == 0) return true;
  process_ = -1;
  return false;
}

void dial_one(const IpEndpoint& at, Deadline deadline, const std::function<void()>& still_there,
              const ssh::Accept& accept) {
  const ssh::Way way{.text = at.to_string(), .endpoint = at};
  ssh::dial_sshd({&way, 1}, deadline, still_there, accept);
}

std::function<void(Deadline, const ssh::Accept&)> dial_at(const IpEndpoint& at) {
  return [at](Deadline deadline, const ssh::Accept& accept) {
    dial_one(
        at, deadline, [] {}, accept);
  };
}

Fd connection_to(const IpEndpoint& at, Deadline deadline) {
  Fd out;
  dial_one(
      at, deadline, [] {}, [&](Fd connection, Deadline) { out = std::move(connection); });
  return out;
}

ssh::TunnelSettings Sidecar::settings() {
  return {.dial = dial_at(at(ssh::kPort)),
          .client = std::move(client_),
          .host_key = host_public_key_,
          .services = services_};
}

void Sidecar::cut_sessions() const { exec("ss -K state established dport = 22"); }

void Sidecar::freeze(bool frozen) const {
  exec(
      fmt::format("for p in $(ls /proc | grep '^[0-9]'); do\n"
                  "  [ \"$(readlink /proc/$p/ns/net)\" != \"$(readlink {})\" ] || kill -{} $p\ndone",
                  netns.path(), frozen ? "STOP" : "CONT"));
}

std::string Sidecar::log() const { return try_read_file((dir_.path() / "log").string()).value_or(""); }

}  // namespace test
