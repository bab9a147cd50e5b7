// Starts the reaper. src/reaper/main.cpp is the reaper itself.
#include "container/reaper.hpp"

#include "container/reap.hpp"
#include "core/child.hpp"
#include "core/fd.hpp"
#include "core/file.hpp"
#include "core/forked.hpp"
#include "core/libexec.hpp"
#include "core/log.hpp"
#include "hostnet/error.hpp"
#include "path/sidecar/labels.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

namespace hostnet::container {
namespace {

constexpr std::chrono::seconds kLookAround{5};
constexpr std::chrono::seconds kStart{10};

bool is_switched_off() {
  const char* const value = std::getenv("TESTCONTAINERS_RYUK_DISABLED");
  return value != nullptr && (std::strcmp(value, "true") == 0 || std::strcmp(value, "1") == 0);
}

// Starts the reaper. Returns our end of its standard input: keep it open, its end tells the reaper that we
// ended.
Fd start_reaper(const engine::Address& engine, const std::string& runtime_dir) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    throw Error::from_errno("socketpair", errno);
  Fd ours(ends[0]);
  const Fd theirs(ends[1]);
  const std::vector<std::string> words{reaper_program(),
                                       exposer::test_run_id(),
                                       std::to_string(::getpid()),
                                       std::to_string(process_start_time(::getpid()).value_or(0)),
                                       engine.text(),
                                       runtime_dir};
  // The started process forks a child for the work and exits at once, so the child is not a child of ours.
  const auto deadline = Deadline::after(kStart);
  const auto status = Child(words.front(), words, {.in = theirs.get()}, deadline).wait(deadline);
  if (status != 0)
    throw Error(Errc::failure,
                fmt::format("{} ended with exit status {}", words.front(), status.value_or(-1)));
  return ours;
}

class Guard {
 public:
  ~Guard() {
    // "q": a normal exit, so nothing can appear later. The descriptor closes with the process.
    if (made_in_ != fork_generation()) return;
    for (const auto& [engine, line] : lines_)
      [[maybe_unused]] const auto said = ::send(line.get(), "q", 1, MSG_NOSIGNAL);
  }

  void watch(const engine::Address& engine, const std::string& runtime_dir) {
    const std::scoped_lock lock(mutex_);
    if (lines_.contains(engine.text())) return;
    auto& line = lines_[engine.text()];
    reap_dead_test_runs(engine, Deadline::after(kLookAround));
    if (is_switched_off()) return;
    try {
      line = start_reaper(engine, runtime_dir);
    } catch (const std::exception& error) {
      log::warn("no reaper: if this process is killed, the next one that uses the library cleans up: {}",
                error.what());
    }
  }

 private:
  const std::uint64_t made_in_ = fork_generation();
  std::mutex mutex_;
  std::map<std::string, Fd> lines_;  // by engine address; guarded by mutex_
};

}  // namespace

std::string reaper_program() { return libexec_program("tc-hostnet-reaper", "TC_HOSTNET_REAPER"); }

void guard_test_run(const engine::Address& engine, const std::string& runtime_dir) noexcept {
  static Guard guard;
  try {
    guard.watch(engine, runtime_dir);
  } catch (const std::exception& error) {
    log::warn("{}", error.what());
  }
}

}  // namespace hostnet::container
