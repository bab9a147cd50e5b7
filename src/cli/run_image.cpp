// Runs one command in a new container.
#include "cli/run_image.hpp"

#include "cli/attachment.hpp"
#include "cli/container_end.hpp"
#include "cli/dry_run.hpp"
#include "cli/exit_code.hpp"
#include "cli/output.hpp"
#include "cli/raw_terminal.hpp"
#include "cli/request_options.hpp"
#include "cli/start_failure.hpp"
#include "cli/stop_signals.hpp"
#include "core/fd.hpp"
#include "core/log.hpp"
#include "core/strings.hpp"
#include "engine/containers.hpp"
#include "engine/cutoff.hpp"
#include "engine/pull.hpp"
#include "hostnet/error.hpp"
#include "path/select.hpp"
#include "path/sidecar/labels.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <exception>
#include <optional>
#include <utility>

namespace hostnet::cli {
namespace {

using std::chrono::seconds;

// Of these, SIGWINCH changes the size of its terminal.
constexpr std::array kPassedToContainer{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
constexpr seconds kSetUp{60};
constexpr seconds kRemoval{10};
constexpr seconds kSignal{5};  // to pass one on

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

// What the caller's standard input is to the command.
bool passes_input(const ImageRun& wanted) {
  struct stat facts {};
  if (::fstat(STDIN_FILENO, &facts) != 0) return false;
  // A terminal belongs to the shell unless it is asked for, and /dev/null has nothing to say.
  return wanted.interactive || !S_ISCHR(facts.st_mode);
}

void take_over_size(engine::Containers& containers, const std::string& id) {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) return;
  try {
    containers.resize(id, size.ws_row, size.ws_col, Deadline::after(kRemoval));
  } catch (const Error& error) {
    log::debug("the size of the terminal: {}", error.what());  // it has just ended
  }
}

// A terminal has one stream for all. Else the output has its own, which ends with the container whatever the input does.
struct Streams {
  Streams(const engine::Address& engine, const std::string& id, bool input, bool tty)
      : output({engine, id, input && tty, true, tty}) {
    if (input && !tty) input_alone.emplace(Attachment::Settings{engine, id, true, false, false});
  }

  Attachment output;
  std::optional<Attachment> input_alone;
};

void pass_on(int signal, engine::Containers& containers, const std::string& id) {
  try {
    containers.kill(id, fmt::format("SIG{}", ::sigabbrev_np(signal)), Deadline::after(kSignal));
  } catch (const Error& error) {
    if (error.code() != Errc::conflict && error.code() != Errc::not_found) throw;  // it has just ended
  }
}

// Until the container has ended and its output is written. After its end, a signal that would end it ends the wait for
// a reader of the output.
int see_to_its_end(const Fd& signals, Attachment& output, ContainerEnd& end, engine::Containers& containers,
                   const std::string& id, bool tty) {
  std::array<pollfd, 3> fds{{{end.fd(), POLLIN, 0}, {output.fd(), POLLIN, 0}, {signals.get(), POLLIN, 0}}};
  auto& [ended, written, signalled] = fds;
  std::optional<int> code;
  while (!code || written.fd >= 0) {
    if (::poll(fds.data(), fds.size(), -1) < 0) {
      if (errno != EINTR) throw Error::from_errno("poll", errno);
      continue;
    }
    if (ended.revents != 0) {
      code = end.exit_code();
      ended.fd = -1;
    }
    if (written.revents != 0) {
      output.raise();
      written.fd = -1;
    }
    if ((signalled.revents & POLLIN) == 0) continue;
    signalfd_siginfo info{};
    if (::read(signals.get(), &info, sizeof info) != sizeof info) continue;
    const int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGWINCH) {
      if (tty) take_over_size(containers, id);
    } else if (!code) {
      pass_on(signal, containers, id);
    } else if (signal != SIGUSR1 && signal != SIGUSR2) {
      break;
    }
  }
  return *code;
}

struct RunPlace {
  engine::Client& client;
  std::string network;
};

// The engine's default one, if the user names none.
std::string network_of(const ImageRun& wanted, engine::Client& client) {
  if (!wanted.network.empty()) return wanted.network;
  return client.is_podman(Deadline::after(kSetUp)) ? "podman" : "bridge";
}

exposer::AheadRequest request_of(const ImageRun& wanted, const RunPlace& place) {
  return {place.network, normalise(wanted.ports)};
}

// Without a network there is nothing for a sidecar or a bridge.
exposer::PathOrder order_on(const std::string& network, exposer::PathOrder order) {
  if (network == "none") std::erase_if(order, [](const auto* path) { return !path->needs_no_network; });
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
                               const exposer::AheadLease& lease) {
  engine::ContainerSpec spec;
  spec.image = wanted.image;
  spec.network = place.network;
  if (!lease.gateway.empty()) spec.extra_hosts = {fmt::format("{}:{}", kAlias, lease.gateway)};
  spec.labels = exposer::family_labels();
  spec.labels.insert(
      {{exposer::kOwnerLabel, exposer::owner_label()}, {exposer::kCreationLabel, exposer::creation_value()}});
  if (!wanted.command.empty()) spec.command = wanted.command;
  spec.open_stdin = spec.stdin_once = passes_input(wanted);
  spec.tty = wanted.tty;
  return spec;
}

Error not_started(const Error& error, const std::string& image) {
  return {
      error.code(), fmt::format("a container of image {} does not start: {}", quote(image), error.what()),
      error.hint().empty() ? "try it without tc-hostnet: docker run --rm " + shell_word(image) : error.hint(),
      error.sys_errno()};
}

// Where the engine has a step between creation and start, the ports are ready before the command begins. Returns the error
// of the container; throws those of the lease.
std::optional<Error> prepare(exposer::AheadLease& lease, engine::Containers& containers,
                             const std::string& id, const RunPlace& place) {
  if (!lease.wants_init) return std::nullopt;
  try {
    containers.init(id, Deadline::after(kSetUp));
  } catch (const Error& error) {
    return error;
  }
  lease.initialised(place.client.container(id, Deadline::after(kSetUp)), Deadline::after(kSetUp));
  return std::nullopt;
}

// Runs the command in its container. Returns the exit code. `stop` is for the set-up on entry and for the end on return.
// Sets `begun` once the command may have run: another path would run it again.
int run_container(const ImageRun& wanted, const RunPlace& place, exposer::AheadLease& lease,
                  const Fd& signals, std::optional<StopSignals>& stop, bool& begun) {
  const auto& client = place.client;
  engine::Containers containers(place.client);
  const auto spec = spec_for(wanted, place, lease);
  const bool input = spec.open_stdin;
  std::optional<ContainerEnd> end;  // joins its thread after the container is removed
  const OwnContainer container(containers, spec);
  std::optional<Streams> streams;
  std::optional<RawTerminal> raw;
  auto failed = prepare(lease, containers, container.id(), place);
  if (!failed) {
    try {
      // Before the start, so that nothing is lost. Podman prepares the container here, and may find that it cannot start.
      streams.emplace(client.address(), container.id(), input, wanted.tty);
      if (wanted.tty && input && ::isatty(STDIN_FILENO) != 0) raw.emplace(STDIN_FILENO);
      begun = true;
      containers.start(container.id(), Deadline::after(kSetUp));
    } catch (const Error& error) {
      failed = error;
    }
  }
  if (failed) {
    if (stop->number() != 0) throw Error(*failed);
    raw.reset();  // before the message
    const auto known = start_failure(*failed, wanted.image, wanted.command);
    if (!known) throw not_started(*failed, wanted.image);
    print_error(known->error, known->exit_code);
    return known->exit_code;
  }
  // From now on signals are for the container, also one that came while it started.
  const int early = stop->stand() ? 0 : stop->number();
  stop.reset();
  end.emplace(client.address(), container.id());
  try {
    if (wanted.tty) take_over_size(containers, container.id());
    exposer::tell_started(lease, place.client, container.id(), Deadline::after(kSetUp));
    if (early != 0) pass_on(early, containers, container.id());
    const int code = see_to_its_end(signals, streams->output, *end, containers, container.id(), wanted.tty);
    stop.emplace(StopSignals::Phase::ending);
    return code;
  } catch (const Error& error) {
    stop.emplace(StopSignals::Phase::ending);
    if (error.sys_errno() == EPIPE)
      return kKilled + SIGPIPE;  // as a shell has it: the output's reader has gone
    if (error.code() == Errc::timed_out) engine::end_requests_at(Deadline::after(kSignal));
    throw;
  }
}

// One try.
int run_by(const exposer::PathDriver& path, const ImageRun& wanted, const RunPlace& place,
           const ExposerOptions& options, const Fd& signals, std::optional<StopSignals>& stop, bool& begun) {
  const auto lease = path.ahead(options, request_of(wanted, place), Deadline::never());
  const int code = run_container(wanted, place, *lease, signals, stop, begun);
  try {
    lease->exposure.release();
  } catch (const Error& error) {
    print_error(error);  // keeps the command's own exit code
  }
  return code;
}

int run_in_order(const ImageRun& wanted, engine::Client& client, const Globals& globals, const Fd& signals,
                 std::optional<StopSignals>& stop) {
  const RunPlace place{client, network_of(wanted, client)};
  const auto options = exposer_options(globals);
  const auto paths = exposer::paths_to_try(exposer::paths(), order_on(place.network, wanted.order), options);
  for (auto path = paths.begin();; ++path) {
    bool begun = false;
    try {
      return run_by(**path, wanted, place, options, signals, stop, begun);
    } catch (const Error& error) {
      const bool ends = begun || !stop || stop->number() != 0 || std::next(path) == paths.end();
      if (ends || !(*path)->leaves_to_another(error)) throw;
      exposer::tell_instead({fmt::format("{}: {}", (*path)->name, error.what())}, true, **std::next(path));
    }
  }
}

}  // namespace

int run_image(const ImageRun& wanted, const Globals& globals) {
  engine::ImageName::parse(wanted.image);  // before anything is made
  engine::Client client(engine::Address::find(globals.engine));
  if (globals.dry_run) {
    const RunPlace place{client, network_of(wanted, client)};
    return print_dry_run(
        dry_run_by(order_on(place.network, wanted.order), wanted, place, exposer_options(globals)), globals);
  }
  const auto signals = watch_signals();
  std::optional<StopSignals> stop(std::in_place, StopSignals::Phase::setting_up);
  try {
    return run_in_order(wanted, client, globals, signals, stop);
  } catch (const Error&) {
    const int signal = stop ? stop->number() : 0;
    if (signal == 0) throw;
    return tell_stopped(signal);
  }
}

}  // namespace hostnet::cli
