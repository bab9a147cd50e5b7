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
#include "watch/follower.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <utility>

namespace hostnet::cli {
namespace {

struct ExposeOptions {
  RequestOptions request;
  bool detach = false;
  bool once = false;
};

void announce(const Exposure& exposure, const ExposeRequest& request, const Globals& globals) {
  if (globals.json) {
    json::Value event{{"event", "ready"},
                      {"lease", exposure.id()},
                      {"target", request.target.to_string()},
                      {"via", BehindExposure::via(exposure)},
                      {"alias", kAlias},
                      {"gateway", exposure.gateway()},
                      {"ports", to_json(exposure.ports())}};
    add_place(event, BehindExposure::via(exposure), exposure.interface());
    return print_json(std::move(event));
  }
  print(exposure.id());
  const auto ports = exposure.ports();
  for (std::size_t i = 0; i < ports.size() && i < 10; ++i)
    say(fmt::format("{}:{} ({}) → {}, for {}", kAlias, ports[i].container, exposure.gateway(),
                    ports[i].service(), request.target.to_string()));
  if (ports.size() > 10) say(fmt::format("… and {} more ports", ports.size() - 10));
}

// Blocks the stop signals before any thread starts: every thread inherits the mask, so only the descriptor gets
// them.
Fd stop_signals() {
  sigset_t stop;
  ::sigemptyset(&stop);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&stop, signal);
  ::sigprocmask(SIG_BLOCK, &stop, nullptr);
  Fd signals(::signalfd(-1, &stop, SFD_CLOEXEC));
  if (!signals) throw Error::from_errno("prepare to wait", errno);
  return signals;
}

void tell_away(const std::string& lease, const std::string& reason, const ExposeRequest& request,
               const Globals& globals) {
  if (globals.json) return print_json({{"event", "waiting"}, {"lease", lease}, {"reason", reason}});
  say(fmt::format("lease {} waits for {}: {}", lease, request.target.to_string(), reason));
}

void tell_back(const Exposure& exposure, const ExposeRequest& request, const Globals& globals) {
  if (globals.json) {
    json::Value event{{"event", "followed"}, {"lease", exposure.id()}, {"gateway", exposure.gateway()}};
    add_place(event, BehindExposure::via(exposure), exposure.interface());
    return print_json(std::move(event));
  }
  say(fmt::format("lease {} serves {} again", exposure.id(), request.target.to_string()));
}

int hold(const ExposeRequest& request, const ExposeOptions& words, const Globals& globals,
         const std::function<void()>& when_ready) {
  allow_many_descriptors();
  const auto signals = stop_signals();
  exposer::Follower::Settings settings{
      .exposer = exposer_options(globals),
      .path = words.request.path(),
      .request = request,
      .once = words.once,
      .on_away = [&](const std::string& lease,
                     const std::string& reason) { tell_away(lease, reason, request, globals); },
      .on_back = [&](const Exposure& exposure) { tell_back(exposure, request, globals); },
  };
  settings.exposer.firewall = words.request.wanted_firewall();
  exposer::Follower follower(std::move(settings));
  announce(follower.exposure(), request, globals);
  when_ready();
  const auto end = follower.run(signals.get());
  if (globals.json)
    print_json(
        {{"event", "ended"}, {"lease", end.lease}, {"state", to_string(end.state)}, {"reason", end.reason}});
  const auto line = fmt::format("lease {} ended: {}", end.lease, end.reason);
  if (!end.asked_for) throw Error(Errc::failure, line);
  if (!globals.json && end.reason != "released") say(line);
  return 0;
}

// The child holds the lease in a session of its own, without the terminal. The parent returns 0 once the
// ports are ready, else the child's exit code. This fork starts no program: this one goes on in the
// background. No thread has started yet.
int detach(const ExposeRequest& request, const ExposeOptions& words, const Globals& globals) {
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
  return options.detach ? detach(request, options, globals) : hold(request, options, globals, [] {});
}

}  // namespace

Action define_expose(Arguments& arguments) {
  const auto options = std::make_shared<ExposeOptions>();
  options->request.define(arguments);
  arguments.flag("-d,--detach", options->detach,
                 "return when ready; the lease lasts until `tc-hostnet release`");
  arguments.flag("--once", options->once,
                 "end with this run of the container or network: do not follow a restart");
  arguments.footer(
      R"(Prints the lease's id when the ports are reachable. Holds them until Ctrl-C or SIGTERM, or, with --detach,
in the background until `tc-hostnet release`. A lease for a container or network follows it through restarts and
re-creation under the same name; an end that nobody asked for gives exit code 1.)");
  arguments.example("sudo tc-hostnet expose 8088 --network web");
  arguments.example("sudo tc-hostnet expose 5432:15432 --container api --detach");
  return [options](const Globals& globals) { return expose(*options, globals); };
}

}  // namespace hostnet::cli
