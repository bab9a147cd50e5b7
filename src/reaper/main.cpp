// tc-hostnet-reaper TEST-RUN PID START ENGINE RUNTIME-DIR
//
// Waits until its owner, process PID started at START, exits or closes the other end of standard input. Then
// removes the containers and networks of the test run, and finishes the leases of dead owners: rules,
// sidecars. The library starts it; src/container/reaper.hpp says why it exists. Its fork starts no program: it
// leaves the process that core/child waits for.
//
// States:
//
//   state     event                                      next
//   --------  -----------------------------------------  ----------------------------------------------------
//   start     arguments invalid                          exit status 2
//   start     forked; the parent exits at once           waiting, in a session (setsid) of its own, in "/"
//   waiting   a byte on standard input                   waiting, clean exit noted
//   waiting   end of standard input, or process gone     removing
//   removing  nothing left (and kStillComing passed,     exit
//             unless the exit was clean)
//   removing  kPatience passed                           exit
//
// Timeouts:
//
//   waiting          none       the owner's life bounds it
//   kPatience        30 s       for a hung engine, or a network still in use
//   kStillComing     3 s        for containers that the engine was still making when the owner died
//   kPause           300 ms     between two rounds of removal
#include "container/reap.hpp"
#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "core/file.hpp"
#include "core/standard_descriptors.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

namespace {

using namespace hostnet;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kPatience{30};    // for an engine that does not answer, or a network still in use
constexpr seconds kStillComing{3};  // containers requested just before the owner's death appear later
constexpr milliseconds kPause{300};

// By system call number: glibc before 2.36 has no function for it.
Fd open_process(pid_t pid) { return Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U))); }

// Returns whether the exit was clean: the owner sent a byte before it.
bool wait_for_end(pid_t pid, std::uint64_t start) {
  const Fd process = open_process(pid);
  if (process_start_time(pid) != start) return false;
  bool in_order = false;
  for (;;) {
    std::array<pollfd, 2> fds{{{STDIN_FILENO, POLLIN, 0}, {process.get(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return false;
    if (fds[0].revents != 0) {
      char said = 0;
      if (::read(STDIN_FILENO, &said, 1) <= 0) return in_order;
      in_order = true;
    } else if (fds[1].revents != 0) {
      return in_order;
    }
  }
}

void clear_away(const std::string& test_run, const engine::Address& engine, const std::string& runtime_dir,
                bool in_order) {
  const auto limit = Deadline::after(kPatience);
  const auto quiet = Deadline::after(in_order ? milliseconds{0} : kStillComing);
  // Removes the containers first, so that none loses its ports while it runs; then the leases, once; then
  // what the engine was still making.
  for (bool leases_are_done = false;;) {
    bool all_is_gone = false;
    try {
      all_is_gone = container::reap_test_run(engine, test_run, limit) == 0;
    } catch (const Error&) {
      // The engine is busy or gone: try again until the limit.
    }
    if (!leases_are_done) container::reap_leases(runtime_dir, limit);
    leases_are_done = true;
    if (limit.expired() || (all_is_gone && quiet.expired())) return;
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_descriptors();
  if (argc != 6) return 2;
  const std::string test_run = argv[1];
  const auto pid = parse_number(argv[2], 1U << 22);
  const auto start = parse_number(argv[3], UINT64_MAX);
  const std::string engine_text = argv[4];
  std::string runtime_dir = argv[5];
  if (test_run.empty() || !pid || !start) return 2;
  // Make the path absolute before chdir("/"): relative paths start in the owner's folder.
  if (const char* const from_environment = std::getenv("TC_HOSTNET_RUNTIME_DIR");
      runtime_dir.empty() && from_environment != nullptr && *from_environment != '\0')
    runtime_dir = from_environment;
  if (!runtime_dir.empty()) runtime_dir = std::filesystem::absolute(runtime_dir);
  ::closefrom(STDERR_FILENO + 1);
  const pid_t child = ::fork();
  if (child < 0) return 1;
  if (child > 0) ::_exit(0);
  ::setsid();
  if (::chdir("/") != 0) return 1;
  for (const int ignored : {SIGHUP, SIGINT, SIGQUIT, SIGPIPE}) ::signal(ignored, SIG_IGN);
  const bool in_order = wait_for_end(static_cast<pid_t>(*pid), *start);
  clear_away(test_run, engine::Address::recorded(engine_text, "its owner"), runtime_dir, in_order);
  return 0;
}
