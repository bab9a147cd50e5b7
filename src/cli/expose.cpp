// `tc-hostnet expose`: exposes ports and holds the lease until a signal, a release or --timeout ends it.
#include "cli/command.hpp"
#include "cli/dry_run.hpp"
#include "cli/exit_code.hpp"
#include "cli/held.hpp"
#include "cli/lease_view.hpp"
#include "cli/output.hpp"
#include "cli/record_view.hpp"
#include "cli/request_options.hpp"
#include "core/fd.hpp"
#include "core/log.hpp"
#include "core/thread.hpp"
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

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace hostnet::cli {
namespace {

using Requests = std::vector<ExposeRequest>;

struct ExposeOptions {
  RequestOptions request;
  bool detach = false;
  bool once = false;
};

void announce(const Exposure& exposure, const ExposeRequest& request, const ExposeOptions& words,
              const Globals& globals) {
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
  const auto* const via = BehindExposure::via(exposure);
  if (words.detach)
    say(fmt::format("served by {} in the background; to stop it: tc-hostnet release {}", via, exposure.id()));
  else
    say(fmt::format("served by {}; Ctrl-C to stop", via));
}

// Tells the end of a lease in its last line; returns the exit code.
int tell_end(const exposer::Follower::End& end, const Globals& globals) {
  if (globals.json)
    print_json(
        {{"event", "ended"}, {"lease", end.lease}, {"state", to_string(end.state)}, {"reason", end.reason}});
  if (!end.asked_for) {
    const Error error(Errc::failure, fmt::format("lease {} ended: {}", end.lease, end.reason));
    print_error(error);
    return exit_code(error.code());
  }
  const auto how = end.reason == "released" ? end.reason : "ended: " + end.reason;
  if (!globals.json) say(fmt::format("lease {} {}; nothing of it is left", end.lease, how));
  return 0;
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

int follow(exposer::Follower& follower, int stop_fd, const Globals& globals) {
  try {
    return tell_end(follower.run(stop_fd), globals);
  } catch (const Error& error) {
    print_error(error);
    return exit_code(error.code());
  }
}

// A project has a lease for each network, and each is followed in a thread of its own: they share nothing but the
// descriptor of the stop signals, which none reads.
int hold(const Requests& requests, const ExposeOptions& words, const Globals& globals,
         const std::function<void()>& when_ready) {
  allow_many_descriptors();
  demote_ends();  // this command tells them itself
  const auto signals = stop_signals();
  std::vector<std::unique_ptr<exposer::Follower>> followers;
  for (const auto& request : requests) {
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
    followers.push_back(std::make_unique<exposer::Follower>(std::move(settings)));
  }
  for (std::size_t i = 0; i < followers.size(); ++i)
    announce(followers[i]->exposure(), requests[i], words, globals);
  when_ready();
  if (followers.size() == 1) return follow(*followers.front(), signals.get(), globals);
  std::vector<int> codes(followers.size());
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < followers.size(); ++i)
      threads.push_back(
          start_thread("tchn-follow", [&, i] { codes[i] = follow(*followers[i], signals.get(), globals); }));
  }
  return *std::ranges::max_element(codes);
}

// The child holds the lease in a session of its own, without the terminal. The parent returns 0 once the
// ports are ready, else the child's exit code. This fork starts no program: this one goes on in the
// background. No thread has started yet.
int detach(const Requests& requests, const ExposeOptions& words, const Globals& globals) {
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
  return hold(requests, words, globals, [&write_end] {
    const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null.get(), fd);
    [[maybe_unused]] const int moved = ::chdir("/");
    [[maybe_unused]] const auto told = ::write(write_end.get(), "r", 1);
    write_end.reset();
  });
}

// A path does so for its own leases. What the killed owner of a lease on another path left would be in the way of
// this one.
void finish_dead_leases(const Globals& globals) {
  if (globals.dry_run) return;
  try {
    look_at_records(state::TunnelStore(globals.runtime_dir), globals);
    auto store = open_store(globals);
    look_if_readable(store, globals);
  } catch (const Error& error) {
    log::debug("what killed owners left is not finished: {}", error.what());
  }
}

int expose(const ExposeOptions& options, const Globals& globals) {
  const auto requests = options.request.to_requests(globals);
  finish_dead_leases(globals);
  const auto& words = options.request;
  if (globals.explain) explain(words.path(), globals);
  if (globals.dry_run) {
    auto settings = exposer_options(globals);
    settings.firewall = words.wanted_firewall();
    for (const auto& request : requests) dry_run(request, words.path(), settings, globals);
    return 0;
  }
  return options.detach ? detach(requests, options, globals) : hold(requests, options, globals, [] {});
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
  arguments.example("sudo tc-hostnet expose 8088 --project shop");
  return [options](const Globals& globals) { return expose(*options, globals); };
}

}  // namespace hostnet::cli
