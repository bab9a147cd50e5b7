// `tc-hostnet expose`: exposes ports and holds the lease until a signal, a release or --timeout ends it.
#include "cli/command.hpp"
#include "cli/dry_run.hpp"
#include "cli/held.hpp"
#include "cli/hold.hpp"
#include "cli/output.hpp"
#include "cli/record_view.hpp"
#include "cli/request_options.hpp"
#include "cli/unserved.hpp"
#include "core/fd.hpp"
#include "core/log.hpp"
#include "hostnet/error.hpp"
#include "path/select.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>
#include <vector>

namespace hostnet::cli {
namespace {

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
    if (words.project.empty()) {
      dry_run(requests.front(), words.path(), settings, globals);
      return 0;
    }
    Unserved unserved(words.project);
    bool any = false;
    for (const auto& request : requests) {
      try {
        dry_run(request, words.path(), settings, globals);
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
