// Runs one command in a new container.
#include "cli/run_image.hpp"

#include "cli/dry_run.hpp"
#include "cli/output.hpp"
#include "cli/request_options.hpp"
#include "core/fd.hpp"
#include "core/file.hpp"
#include "core/log.hpp"
#include "core/thread.hpp"
#include "engine/containers.hpp"
#include "hostnet/error.hpp"
#include "path/sidecar/labels.hpp"
#include "path/ssh/dry_run.hpp"
#include "path/ssh/ssh.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <thread>

namespace hostnet::cli {
namespace {

using std::chrono::seconds;

constexpr std::array kPassedToContainer{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
constexpr seconds kSetUp{60};
constexpr seconds kRemoval{10};

// Owns the container: the destructor removes it.
class OwnContainer {
 public:
  OwnContainer(engine::Containers& containers, const engine::ContainerSpec& spec)
      : containers_(containers), id_(create(containers, spec)) {}
  OwnContainer(const OwnContainer&) = delete;
  OwnContainer& operator=(const OwnContainer&) = delete;
  ~OwnContainer() {
    try {
      containers_.remove(id_, Deadline::after(kRemoval));
    } catch (const std::exception& error) {
      log::error("container {}: {}", id_.substr(0, 12), error.what());
    }
  }
  [[nodiscard]] const std::string& id() const noexcept { return id_; }

 private:
  static std::string create(engine::Containers& containers, const engine::ContainerSpec& spec) {
    try {
      return containers.create(spec, Deadline::after(kSetUp));
    } catch (const Error& error) {
      if (error.code() != Errc::not_found || containers.has_image(spec.image, Deadline::after(kSetUp))) throw;
    }
    containers.pull(
        spec.image, [](std::string_view line) { log::info("{}", line); }, Deadline::after(10 * kSetUp));
    return containers.create(spec, Deadline::after(kSetUp));
  }

  engine::Containers& containers_;
  std::string id_;
};

Fd watch_signals() {
  sigset_t watched;
  ::sigemptyset(&watched);
  for (const int signal : kPassedToContainer) ::sigaddset(&watched, signal);
  ::sigprocmask(SIG_BLOCK, &watched, nullptr);  // before any thread starts
  Fd signals(::signalfd(-1, &watched, SFD_CLOEXEC));
  if (!signals) throw Error::from_errno("signalfd", errno);
  return signals;
}

// Copies the container's output to ours and then reads its exit code. Its thread has its own engine
// connection, waits without a time limit, holds no lock, and ends with the container.
class Follower {
 public:
  Follower(engine::Address engine, const std::string& id)
      : ended_(::eventfd(0, EFD_CLOEXEC)),
        thread_(start_thread("tchn-output", [this, engine = std::move(engine), id] { follow(engine, id); })) {
  }
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;
  ~Follower() = default;  // joins the thread
  /// Readable once the container has ended.
  [[nodiscard]] int fd() const noexcept { return ended_.get(); }
  int exit_code() {
    thread_.join();
    if (error_) throw Error(*error_);
    return exit_code_;
  }

 private:
  void follow(const engine::Address& engine, const std::string& id) {
    try {
      engine::Client client(engine);
      engine::Containers containers(client);
      containers.follow_output(
          id,
          [](engine::Stream stream, std::string_view piece) {
            write_all(stream == engine::Stream::out ? STDOUT_FILENO : STDERR_FILENO, piece);
          },
          Deadline::never());
      exit_code_ = containers.wait(id, Deadline::never());
    } catch (const Error& error) {
      error_ = error;
    }
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(ended_.get(), &one, sizeof one);
  }

  Fd ended_;
  int exit_code_ = 0;
  std::optional<Error> error_;
  std::jthread thread_;  // last: the thread uses the members above
};

void pass_signals_on(const Fd& signals, const Follower& follower, engine::Containers& containers,
                     const std::string& id) {
  for (;;) {
    std::array<pollfd, 2> fds{{{follower.fd(), POLLIN, 0}, {signals.get(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) throw Error::from_errno("poll", errno);
    if ((fds[0].revents & POLLIN) != 0) return;
    if ((fds[1].revents & POLLIN) == 0) continue;
    signalfd_siginfo info{};
    if (::read(signals.get(), &info, sizeof info) != sizeof info) continue;
    try {
      containers.kill(id, fmt::format("SIG{}", ::sigabbrev_np(static_cast<int>(info.ssi_signo))),
                      Deadline::after(kRemoval));
    } catch (const Error& error) {
      if (error.code() != Errc::conflict && error.code() != Errc::not_found) throw;  // it has just ended
    }
  }
}

// Maps the runtime's message for a missing command (127) or one that may not run (126); nullopt for other
// errors.
std::optional<int> exit_code_of(const Error& start_failure) {
  const std::string_view words = start_failure.what();
  const auto says = [&](std::string_view part) { return words.find(part) != std::string_view::npos; };
  if (says("executable file not found") || says("no such file or directory")) return 127;
  if (says("permission denied")) return 126;
  return std::nullopt;
}

exposer::DryRun dry_run_on(engine::Client& client, const std::string& network, const ImageRun& wanted) {
  const ExposeRequest request{
      .target = Target::network(network), .ports = wanted.ports, .write_alias = false};
  const exposer::CommandContainer container{wanted.image, wanted.command};
  return exposer::ssh_dry_run(client, request, &container);
}

}  // namespace

int run_image(const ImageRun& wanted, const Globals& globals) {
  const auto signals = watch_signals();
  const auto address = engine::Address::find(globals.engine);
  engine::Client client(address);
  const auto network = !wanted.network.empty()                               ? wanted.network
                       : client.version(Deadline::after(kSetUp)).is_podman() ? "podman"
                                                                             : "bridge";
  if (globals.dry_run) return print_dry_run(dry_run_on(client, network, wanted), globals);
  engine::Containers containers(client);
  auto lease = exposer::expose_ahead(exposer_options(globals), network, wanted.ports);
  engine::ContainerSpec spec;
  spec.image = wanted.image;
  spec.network = network;
  spec.extra_hosts = {fmt::format("{}:{}", kAlias, lease.exposure.gateway())};
  spec.labels = exposer::family_labels();
  spec.labels.insert(
      {{exposer::kOwnerLabel, exposer::owner_label()}, {exposer::kCreationLabel, exposer::creation_value()}});
  if (!wanted.command.empty()) spec.command = wanted.command;
  int code = 0;
  {
    const OwnContainer container(containers, spec);
    try {
      containers.start(container.id(), Deadline::after(kSetUp));
    } catch (const Error& error) {
      const auto known = exit_code_of(error);
      if (!known) throw;
      print_error(error, known);
      return *known;
    }
    const auto running = client.container(container.id(), Deadline::after(kSetUp));
    if (running.running) lease.serve(running);
    Follower follower(address, container.id());
    pass_signals_on(signals, follower, containers, container.id());
    code = follower.exit_code();
  }
  try {
    lease.exposure.release();
  } catch (const Error& error) {
    print_error(error);  // keeps the command's own exit code
  }
  return code;
}

}  // namespace hostnet::cli
