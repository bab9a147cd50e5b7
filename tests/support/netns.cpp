// Makes, enters and connects the tests' network namespaces.
#include "support/netns.hpp"

#include "core/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <stdexcept>
#include <system_error>

namespace test {
namespace {

hostnet::Fd open_current() {
  hostnet::Fd fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!fd) throw std::system_error(errno, std::generic_category(), "open /proc/thread-self/ns/net");
  return fd;
}

}  // namespace

Outcome try_exec(const std::string& command, const std::string& input) {
  // The shell opens its stdin by this path. An inherited descriptor would also be inherited by every program
  // that another thread starts meanwhile.
  const hostnet::Fd stdin_file(::memfd_create("stdin", MFD_CLOEXEC));
  hostnet::write_all(stdin_file.get(), input);
  const auto redirect = fmt::format("exec 2>&1 </proc/{}/fd/{}; ", ::getpid(), stdin_file.get());
  FILE* pipe = ::popen((redirect + command).c_str(), "re");
  if (pipe == nullptr) throw std::system_error(errno, std::generic_category(), "popen");
  Outcome outcome;
  std::array<char, 4096> buffer;
  while (const auto got = std::fread(buffer.data(), 1, buffer.size(), pipe))
    outcome.output.append(buffer.data(), got);
  const int status = ::pclose(pipe);
  outcome.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return outcome;
}

std::string exec(const std::string& command, const std::string& input) {
  auto [status, output] = try_exec(command, input);
  if (status != 0) throw std::runtime_error(fmt::format("`{}` gave {}: {}", command, status, output));
  return output;
}

NetNs::NetNs() {
  std::packaged_task<hostnet::Fd()> task([] {
    if (::unshare(CLONE_NEWNET) != 0) throw std::system_error(errno, std::generic_category(), "unshare");
    test::exec("ip link set lo up");
    return open_current();
  });
  auto made = task.get_future();
  std::thread(std::move(task)).join();
  fd_ = made.get();
}

NetNs NetNs::current() { return NetNs(open_current()); }

std::string NetNs::path() const { return fmt::format("/proc/{}/fd/{}", ::getpid(), fd()); }

void NetNs::enter() const {
  if (::setns(fd(), CLONE_NEWNET) != 0) throw std::system_error(errno, std::generic_category(), "setns");
}

std::string NetNs::exec(const std::string& command, const std::string& input) const {
  return run([&] { return test::exec(command, input); });
}

Outcome NetNs::try_exec(const std::string& command, const std::string& input) const {
  return run([&] { return test::try_exec(command, input); });
}

void NetNs::nft(const std::string& ruleset) const { exec("nft -f -", ruleset); }

void connect(const VethEnd& one, const VethEnd& other) {
  one.netns.exec(fmt::format("ip link add {} type veth peer name {} netns {}", one.name, other.name,
                             other.netns.path()));
  for (const auto* end : {&one, &other}) {
    if (!end->address.empty())
      end->netns.exec(fmt::format("ip address add {} dev {}", end->address, end->name));
    end->netns.exec(fmt::format("ip link set {} up", end->name));
  }
}

}  // namespace test
