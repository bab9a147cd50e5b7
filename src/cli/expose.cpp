// `tc-hostnet expose`: exposes ports and holds the lease until a signal, a release or --timeout ends it.
#include "cli/command.hpp"
#include "cli/dry_run.hpp"
#include "cli/exit_code.hpp"
#include "cli/held.hpp"
#include "cli/hold.hpp"
#include "cli/output.hpp"
#include "cli/record_view.hpp"
#include "cli/request_options.hpp"
#include "cli/stop_signals.hpp"
#include "cli/unserved.hpp"
#include "core/fd.hpp"
#include "core/log.hpp"
#include "hostnet/error.hpp"
#include "path/select.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <memory>
#include <utility>
#include <vector>

namespace hostnet::cli {
namespace {

// Returns the exit code of the command: 0 once the lease stands, else the child's. A signal goes on to the child, which
// undoes what it has made.
int wait_until_ready(pid_t child, const Fd& read_end, const Fd& signals) {
  int stopped_by = 0;
  for (;;) {
    std::array<pollfd, 2> fds{{{read_end.get(), POLLIN, 0}, {signals.get(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) throw Error::from_errno("poll", errno);
    if (fds[1].revents != 0) {
      signalfd_siginfo info{};
      if (::read(signals.get(), &info, sizeof info) != sizeof info) continue;
      stopped_by = static_cast<int>(info.ssi_signo);
      ::kill(child, stopped_by);
    } else if (fds[0].revents != 0) {
      char ready = 0;
      const auto got = ::read(read_end.get(), &ready, 1);
      if (got < 0 && errno == EINTR) continue;
      if (got == 1 && stopped_by == 0) return 0;
      if (got != 1) break;
    }
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  // The lease may have stood for a moment, and was released.
  if (WIFEXITED(status) && (WEXITSTATUS(status) != 0 || stopped_by == 0)) return WEXITSTATUS(status);
  return stopped_by != 0 ? kKilled + stopped_by : 1;
}

// The child holds the lease in a session of its own, without the terminal. The parent returns once the ports are ready
// or cannot be; until then the child ends with it. This fork starts no program: this one goes on in the background. No
// thread has started yet.
int detach(const Requests& requests, const ExposeOptions& words, const Globals& globals) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw Error::from_errno("pipe2", errno);
  Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  Fd signals = stop_signals();
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) throw Error::from_errno("fork", errno);
  if (child > 0) {
    write_end.reset();
    return wait_until_ready(child, read_end, signals);
  }
  read_end.reset();
  signals.reset();
  // Also by SIGKILL. The child hears of this signal as of any other.
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) return kKilled + SIGTERM;
  // A descriptor from the caller may be a lock, or a pipe whose reader waits for its end (make's jobserver):
  // the lease must not hold it.
  const auto kept = static_cast<unsigned>(write_end.get());
  if (kept > STDERR_FILENO + 1) close_descriptors(STDERR_FILENO + 1, kept - 1);
  close_descriptors(kept + 1, ~0U);
  ::setsid();
  ::openlog("tc-hostnet", LOG_PID, LOG_DAEMON);
  return hold(requests, words, globals, [&write_end] {
    const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null.get(), fd);
    [[maybe_unused]] const int moved = ::chdir("/");
    ::prctl(PR_SET_PDEATHSIG, 0);
    // Without a parent that hears of it, the command was aborted: the lease ends as by that signal.
    if (::write(write_end.get(), "r", 1) != 1) ::kill(::getpid(), SIGTERM);
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
  if (globals.explain) explain(words.order(), globals);
  if (globals.dry_run) {
    auto settings = exposer_options(globals);
    settings.firewall = words.wanted_firewall();
    if (words.project.empty()) {
      dry_run(requests.front(), words.order(), settings, globals);
      return 0;
    }
    Unserved unserved(words.project);
    bool any = false;
    for (const auto& request : requests) {
      try {
        dry_run(request, words.order(), settings, globals);
        any = true;
      } catch (const Error& error) {
        unserved.add(request.target.name(), error);
      }
    }
    unserved.tell(any);
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
