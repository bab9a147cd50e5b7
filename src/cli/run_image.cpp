// Runs one command in a new container.
#include "cli/run_image.hpp"

#include "cli/dry_run.hpp"
#include "cli/output.hpp"
#include "cli/raw_terminal.hpp"
#include "cli/request_options.hpp"
#include "core/fd.hpp"
#include "core/file.hpp"
#include "core/log.hpp"
#include "core/thread.hpp"
#include "engine/containers.hpp"
#include "hostnet/error.hpp"
#include "path/select.hpp"
#include "path/sidecar/labels.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <exception>
#include <functional>
#include <future>
#include <optional>
#include <thread>
#include <utility>

namespace hostnet::cli {
namespace {

using std::chrono::seconds;

// Of these, SIGWINCH changes the size of its terminal.
constexpr std::array kPassedToContainer{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
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
  Follower(engine::Address engine, const std::string& id, bool output)
      : ended_(::eventfd(0, EFD_CLOEXEC)),
        thread_(start_thread(
            "tchn-output", [this, engine = std::move(engine), id, output] { follow(engine, id, output); })) {}
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
  void follow(const engine::Address& engine, const std::string& id, bool output) {
    try {
      engine::Client client(engine);
      engine::Containers containers(client);
      if (output)
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

// What the caller's standard input is to the command.
bool passes_input(const ImageRun& wanted) {
  struct stat facts {};
  if (::fstat(STDIN_FILENO, &facts) != 0) return false;
  // A terminal belongs to the shell unless it is asked for, and /dev/null has nothing to say.
  return wanted.interactive || !S_ISCHR(facts.st_mode);
}

// Carries standard input and, for a terminal, the output. Its thread has its own engine connection, holds no lock,
// and ends with the container or with this object.
class Attachment {
 public:
  Attachment(engine::Address engine, const std::string& id, bool input, bool output)
      : stop_(::eventfd(0, EFD_CLOEXEC)) {
    if (!stop_) throw Error::from_errno("eventfd", errno);
    auto ready = ready_.get_future();
    thread_ = start_thread("tchn-attach", [this, engine = std::move(engine), id, input, output] {
      carry(engine, id, input, output);
    });
    ready.get();
  }
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;
  ~Attachment() { finish(); }

  /// Waits for the end of the output after that of the container.
  void drain() {
    if (thread_.joinable() && ended_.get_future().wait_for(kRemoval) == std::future_status::ready)
      thread_.join();
  }

 private:
  void carry(const engine::Address& engine, const std::string& id, bool input, bool output) {
    bool attached = false;
    try {
      engine::Client client(engine);
      engine::Containers(client).attach(
          id, input ? STDIN_FILENO : -1, stop_.get(),
          [&] {
            attached = true;
            ready_.set_value();
          },
          output ? std::function<void(std::string_view)>(
                       [](std::string_view piece) { write_all(STDOUT_FILENO, piece); })
                 : nullptr,
          Deadline::after(kSetUp));
    } catch (const Error& error) {
      if (!attached)
        ready_.set_exception(std::make_exception_ptr(error));
      else
        log::warn("the command's streams are lost: {}", error.what());
    }
    ended_.set_value();
  }

  void finish() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(stop_.get(), &one, sizeof one);
    if (thread_.joinable()) thread_.join();
  }

  Fd stop_;
  std::promise<void> ready_;
  std::promise<void> ended_;
  std::jthread thread_;  // last: the thread uses the members above
};

void take_over_size(engine::Containers& containers, const std::string& id) {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) return;
  try {
    containers.resize(id, size.ws_row, size.ws_col, Deadline::after(kRemoval));
  } catch (const Error& error) {
    log::debug("the size of the terminal: {}", error.what());  // it has just ended
  }
}

void pass_signals_on(const Fd& signals, const Follower& follower, engine::Containers& containers,
                     const std::string& id, bool tty) {
  for (;;) {
    std::array<pollfd, 2> fds{{{follower.fd(), POLLIN, 0}, {signals.get(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) throw Error::from_errno("poll", errno);
    if ((fds[0].revents & POLLIN) != 0) return;
    if ((fds[1].revents & POLLIN) == 0) continue;
    signalfd_siginfo info{};
    if (::read(signals.get(), &info, sizeof info) != sizeof info) continue;
    if (info.ssi_signo == SIGWINCH) {
      if (tty) take_over_size(containers, id);
      continue;
    }
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
  std::string words = start_failure.what();  // crun and runc differ in the case
  std::ranges::transform(words, words.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  const auto says = [&](std::string_view part) { return words.find(part) != std::string::npos; };
  if (says("permission denied") || says("is a directory") || says("exec format error")) return 126;
  if (says("executable file not found") || says("no such file or directory") || says("not found in $path"))
    return 127;
  return std::nullopt;
}

struct RunPlace {
  engine::Address engine;
  engine::Client& client;
  std::string network;
};

exposer::AheadRequest request_of(const ImageRun& wanted, const RunPlace& place) {
  return {place.network, normalise(wanted.ports)};
}

// Without a network there is nothing for a sidecar or a bridge.
exposer::PathOrder order_on(const std::string& network, exposer::PathOrder order) {
  if (network == "none") std::erase_if(order, [](const auto* path) { return path->serves_networks; });
  if (order.empty())
    throw Error(Errc::no_path, "a container without a network is served by the relay path alone",
                "leave out --via, or name a network");
  return order;
}

// The plan of the first path that would serve it.
exposer::DryRun dry_run_by(const exposer::PathOrder& paths, const ImageRun& wanted, const RunPlace& place,
                           const ExposerOptions& options) {
  for (auto path = paths.begin();; ++path) {
    try {
      return (*path)->dry_run_ahead(options, request_of(wanted, place), {wanted.image, wanted.command});
    } catch (const Error& error) {
      if (std::next(path) == paths.end() || !(*path)->leaves_to_another(error)) throw;
      exposer::tell_instead({fmt::format("{}: {}", (*path)->name, error.what())}, true, **std::next(path));
    }
  }
}

engine::ContainerSpec spec_for(const ImageRun& wanted, const RunPlace& place,
                               const exposer::AheadLease& lease, bool input) {
  engine::ContainerSpec spec;
  spec.image = wanted.image;
  spec.network = place.network;
  if (!lease.gateway.empty()) spec.extra_hosts = {fmt::format("{}:{}", kAlias, lease.gateway)};
  spec.labels = exposer::family_labels();
  spec.labels.insert(
      {{exposer::kOwnerLabel, exposer::owner_label()}, {exposer::kCreationLabel, exposer::creation_value()}});
  if (!wanted.command.empty()) spec.command = wanted.command;
  spec.open_stdin = spec.stdin_once = input;
  spec.tty = wanted.tty;
  return spec;
}

// Where the engine has a step between the two, the ports are ready before the command begins.
void start_with(exposer::AheadLease& lease, engine::Containers& containers, const std::string& id,
                const RunPlace& place, bool& begun) {
  if (lease.wants_init) {
    containers.init(id, Deadline::after(kSetUp));
    lease.initialised(place.client.container(id, Deadline::after(kSetUp)), Deadline::after(kSetUp));
  }
  begun = true;
  containers.start(id, Deadline::after(kSetUp));
}

void serve(exposer::AheadLease& lease, const std::string& id, const RunPlace& place) {
  const auto now = place.client.container(id, Deadline::after(kSetUp));
  if (!now.running) return;
  try {
    lease.started(now, Deadline::after(kSetUp));
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    if (place.client.container(id, Deadline::after(kSetUp)).running) throw;
    log::debug("the command has ended: {}", error.what());
  }
}

// One try. Sets `begun` once the command may have run: another path would run it again.
int run_by(const exposer::PathDriver& path, const ImageRun& wanted, const RunPlace& place,
           const ExposerOptions& options, const Fd& signals, bool& begun) {
  engine::Containers containers(place.client);
  const auto lease = path.ahead(options, request_of(wanted, place), Deadline::never());
  const bool input = passes_input(wanted);
  int code = 0;
  {
    const OwnContainer container(containers, spec_for(wanted, place, *lease, input));
    // Before the start, so that nothing is lost. The output without a terminal comes from the engine's log.
    std::optional<Attachment> attachment;
    if (input || wanted.tty) attachment.emplace(place.engine, container.id(), input, wanted.tty);
    std::optional<RawTerminal> raw;
    if (wanted.tty && input && ::isatty(STDIN_FILENO) != 0) raw.emplace(STDIN_FILENO);
    try {
      start_with(*lease, containers, container.id(), place, begun);
    } catch (const Error& error) {
      raw.reset();  // before the message
      const auto known = exit_code_of(error);
      if (!known) throw;
      print_error(error, known);
      return *known;
    }
    if (wanted.tty) take_over_size(containers, container.id());
    serve(*lease, container.id(), place);
    Follower follower(place.engine, container.id(), !wanted.tty);
    pass_signals_on(signals, follower, containers, container.id(), wanted.tty);
    code = follower.exit_code();
    if (wanted.tty) attachment->drain();
  }
  try {
    lease->exposure.release();
  } catch (const Error& error) {
    print_error(error);  // keeps the command's own exit code
  }
  return code;
}

}  // namespace

int run_image(const ImageRun& wanted, const Globals& globals) {
  const auto signals = watch_signals();
  const auto address = engine::Address::find(globals.engine);
  engine::Client client(address);
  const RunPlace place{address, client,
                       !wanted.network.empty()                               ? wanted.network
                       : client.version(Deadline::after(kSetUp)).is_podman() ? "podman"
                                                                             : "bridge"};
  const auto options = exposer_options(globals);
  const auto order = order_on(place.network, wanted.order);
  if (globals.dry_run) return print_dry_run(dry_run_by(order, wanted, place, options), globals);
  const auto paths = exposer::paths_to_try(exposer::paths(), order, options);
  for (auto path = paths.begin();; ++path) {
    bool begun = false;
    try {
      return run_by(**path, wanted, place, options, signals, begun);
    } catch (const Error& error) {
      if (begun || std::next(path) == paths.end() || !(*path)->leaves_to_another(error)) throw;
      exposer::tell_instead({fmt::format("{}: {}", (*path)->name, error.what())}, true, **std::next(path));
    }
  }
}

}  // namespace hostnet::cli
