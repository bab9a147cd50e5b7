// Accepts connections and starts ssh for each.
#include "engine/ssh_runner.hpp"

#include "core/log.hpp"
#include "core/process.hpp"
#include "core/thread.hpp"
#include "core/unix_address.hpp"
#include "engine/ssh_command.hpp"
#include "hostnet/error.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <utility>

namespace hostnet::engine {
namespace {

constexpr int kCollectPeriod = 1'000;  // milliseconds between two looks for commands that have ended
constexpr std::chrono::seconds kStartOfSsh{5};
constexpr std::chrono::milliseconds kScarcePause{100};  // while no descriptor is free

}  // namespace

SshRunner::SshRunner(const Ssh& ssh, std::string control, int words)
    : ssh_(ssh),
      control_(std::move(control)),
      words_(words),
      program_(find_program("ssh")),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_) throw Error::from_errno("eventfd", errno);
}

void SshRunner::serve(const std::string& socket, std::string command) {
  command_ = std::move(command);
  listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  ::unlink(socket.c_str());  // of an attempt that its caller gave up; the folder is ours alone
  const auto where = unix_address(socket).value();
  if (!listener_ || ::bind(listener_.get(), as_sockaddr(where), sizeof where) != 0 ||
      ::listen(listener_.get(), SOMAXCONN) != 0)
    throw Error::from_errno("listen at " + socket, errno);
  thread_ = start_thread("tchn-ssh-run", [this] { accept_all(); });
}

SshRunner::~SshRunner() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
  if (thread_.joinable()) thread_.join();
}

void SshRunner::start(const Fd& streams) {
  // It may have had to log in by itself.
  running_.push_back(std::make_unique<Child>(
      program_, ssh_run(ssh_, control_, command_),
      Child::Streams{.in = streams.get(), .out = streams.get(), .err = words_}, Deadline::after(kStartOfSsh),
      Child::Life{.bound = true, .variables = {"SSH_ASKPASS_REQUIRE=never"}}));
}

void SshRunner::collect() {
  std::erase_if(running_, [](const auto& child) {
    return child->wait(Deadline::after(std::chrono::milliseconds{0})).has_value();
  });
}

void SshRunner::accept_all() {
  for (;;) {
    std::array<pollfd, 2> polls{{{listener_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}}};
    if (::poll(polls.data(), polls.size(), kCollectPeriod) < 0 && errno != EINTR) return;
    if (polls[1].revents != 0) return;
    collect();
    const Fd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection) {
      if (errno == EMFILE || errno == ENFILE) std::this_thread::sleep_for(kScarcePause);
      continue;
    }
    try {
      start(connection);
    } catch (const Error& error) {
      log::debug("ssh: {}", error.what());
    }
  }
}

}  // namespace hostnet::engine
