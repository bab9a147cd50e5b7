// `tc-hostnet expose`: exposes ports and holds the lease until a signal, a release or --timeout ends it.
#include "cli/command.hpp"
#include "cli/dry_run.hpp"
#include "cli/lease_view.hpp"
#include "cli/output.hpp"
#include "cli/request_options.hpp"
#include "core/fd.hpp"
#include "hostnet/error.hpp"
#include "lease/exposure_impl.hpp"
#include "lease/port_json.hpp"
#include "path/select.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <optional>

namespace hostnet::cli {
namespace {

struct ExposeOptions {
  RequestOptions request;
  bool detach = false;
};

void announce(const Exposure& exposure, const ExposeRequest& request, const Globals& globals) {
  if (globals.json) {
    print_json({{"event", "ready"},
                {"lease", exposure.id()},
                {"target", request.target.to_string()},
                {"via", BehindExposure::via(exposure)},
                {"alias", kAlias},
                {"gateway", exposure.gateway()},
                {"interface", exposure.interface()},
                {"ports", to_json(exposure.ports())}});
    return;
  }
  print(exposure.id());
  const auto ports = exposure.ports();
  for (std::size_t i = 0; i < ports.size() && i < 10; ++i)
    say(fmt::format("{}:{} ({}) → {}, for {}", kAlias, ports[i].container, exposure.gateway(),
                    ports[i].service(), request.target.to_string()));
  if (ports.size() > 10) say(fmt::format("… and {} more ports", ports.size() - 10));
}

// Turns stop signals and the end of the lease into two descriptors to poll.
class Waiter {
 public:
  Waiter() : ended_(std::make_shared<Fd>(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))) {
    // Blocked before any thread starts: every thread inherits the mask, so only the descriptor gets the
    // signals.
    sigset_t stop;
    ::sigemptyset(&stop);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&stop, signal);
    ::sigprocmask(SIG_BLOCK, &stop, nullptr);
    signals_.reset(::signalfd(-1, &stop, SFD_CLOEXEC));
    if (!*ended_ || !signals_) throw Error::from_errno("prepare to wait", errno);
  }

  StateCallback on_state() {
    return [ended = ended_](const std::string&, ExposureState, const std::string&) {
      const std::uint64_t one = 1;
      [[maybe_unused]] const auto written = ::write(ended->get(), &one, sizeof one);
    };
  }

  /// Returns on a stop signal or when the lease has ended without one. No time limit.
  void wait() const {
    std::array<pollfd, 2> fds{{{signals_.get(), POLLIN, 0}, {ended_->get(), POLLIN, 0}}};
    while (::poll(fds.data(), fds.size(), -1) < 0 && errno == EINTR) {
    }
  }

 private:
  std::shared_ptr<Fd> ended_;  // shared with the callback, which may still run after the Waiter is gone
  Fd signals_;
};

int hold(const ExposeRequest& request, const RequestOptions& words, const Globals& globals,
         const std::function<void()>& when_ready) {
  allow_many_descriptors();
  Waiter waiter;
  auto options = exposer_options(globals);
  options.firewall = words.wanted_firewall();
  options.on_state = waiter.on_state();
  const auto exposer = exposer::make_exposer_by(exposer::paths(), words.path(), std::move(options));
  auto exposure = exposer->expose(request);
  announce(exposure, request, globals);
  when_ready();
  waiter.wait();
  if (exposure.state() == ExposureState::active) exposure.release();
  const bool failed = exposure.state() == ExposureState::failed;
  if (globals.json)
    print_json({{"event", "ended"},
                {"lease", exposure.id()},
                {"state", to_string(exposure.state())},
                {"reason", exposure.reason()}});
  if (failed) throw Error(Errc::failure, fmt::format("lease {} ended: {}", exposure.id(), exposure.reason()));
  return 0;
}

// The child holds the lease in a session of its own, without the terminal. The parent returns 0 once the
// ports are ready, else the child's exit code. This fork starts no program: this one goes on in the
// background. No thread has started yet.
int detach(const ExposeRequest& request, const RequestOptions& words, const Globals& globals) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw Error::from_errno("pipe2", errno);
  Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) throw Error::from_errno("fork", errno);
  if (child > 0) {
    write_end.reset();
    char ready = 0;
    ssize_t got = 0;
    while ((got = ::read(read_end.get(), &ready, 1)) < 0 && errno == EINTR) {
    }
    if (got == 1) return 0;
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
  }
  read_end.reset();
  // A descriptor from the caller may be a lock, or a pipe whose reader waits for its end (make's jobserver):
  // the lease must not hold it.
  const auto kept = static_cast<unsigned>(write_end.get());
  if (kept > STDERR_FILENO + 1) close_descriptors(STDERR_FILENO + 1, kept - 1);
  close_descriptors(kept + 1, ~0U);
  ::setsid();
  return hold(request, words, globals, [&write_end] {
    const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null.get(), fd);
    [[maybe_unused]] const int moved = ::chdir("/");
    [[maybe_unused]] const auto told = ::write(write_end.get(), "r", 1);
    write_end.reset();
  });
}

int expose(const ExposeOptions& options, const Globals& globals) {
  const auto request = options.request.to_request();
  const auto& words = options.request;
  if (globals.explain) explain(words.path(), globals);
  if (globals.dry_run) {
    auto settings = exposer_options(globals);
    settings.firewall = words.wanted_firewall();
    return dry_run(request, words.path(), settings, globals);
  }
  return options.detach ? detach(request, words, globals) : hold(request, words, globals, [] {});
}

}  // namespace

Action define_expose(Arguments& arguments) {
  const auto options = std::make_shared<ExposeOptions>();
  options->request.define(arguments);
  arguments.flag("-d,--detach", options->detach,
                 "return when ready; the lease lasts until `tc-hostnet release`");
  arguments.footer(
      R"(Prints the lease's id when the ports are reachable. Holds them until Ctrl-C or SIGTERM, or, with --detach,
in the background until `tc-hostnet release`.)");
  arguments.example("sudo tc-hostnet expose 8088 --network web");
  arguments.example("sudo tc-hostnet expose 5432:15432 --container api --detach");
  return [options](const Globals& globals) { return expose(*options, globals); };
}

}  // namespace hostnet::cli
