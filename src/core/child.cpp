// Both sides of the fork and of their pipe.
#include "core/child.hpp"

#include "core/sanitized.hpp"
#include "core/signals.hpp"
#include "hostnet/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>

extern char** environ;

namespace hostnet {
namespace {

constexpr int kNews = 3;  // the intermediate child's end of the pipe

struct Start {
  int failed;  // an errno, or 0
  pid_t pid;
};

template <class Word>
void tell(int fd, const Word& word) {
  [[maybe_unused]] const auto told = ::write(fd, &word, sizeof word);  // atomic: pipe(7), PIPE_BUF
}

// Makes wanted[i] descriptor i and closes all others. False, with errno, on failure.
bool arrange(std::array<int, kNews + 1>& wanted) {
  auto kept = wanted;
  std::ranges::sort(kept);
  unsigned next = 0;
  for (const int fd : kept) {
    if (fd < 0) continue;
    if (static_cast<unsigned>(fd) > next) close_descriptors(next, static_cast<unsigned>(fd) - 1);
    next = static_cast<unsigned>(fd) + 1;
  }
  close_descriptors(next, ~0U);
  for (auto& fd : wanted) {
    if (fd < 0) fd = ::open("/dev/null", O_RDWR);
    const int apart = ::fcntl(fd, F_DUPFD, kNews + 1);
    if (apart < 0) return false;
    fd = apart;
  }
  for (int i = 0; i <= kNews; ++i)
    if (::dup2(wanted.at(static_cast<std::size_t>(i)), i) < 0) return false;
  close_descriptors(kNews + 1, ~0U);
  return ::fcntl(kNews, F_SETFD, FD_CLOEXEC) == 0;
}

// Must not allocate or take a lock: at the fork another thread of the parent may have held any lock.
[[noreturn]] void live_between(const char* path, char* const* argv, char* const* environment,
                               std::array<int, kNews + 1> wanted, const posix_spawnattr_t* attributes) {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  ::sigaction(SIGCHLD, &action, nullptr);
  ::setpgid(0, 0);  // the terminal's signals are only for the program that links the library
  Start start{};
  if (!arrange(wanted)) {
    start.failed = errno;
    tell(wanted.back(), start);
    ::_exit(1);
  }
  start.failed = ::posix_spawn(&start.pid, path, nullptr, attributes, argv, environment);
  tell(kNews, start);
  if (start.failed != 0) ::_exit(1);
  for (int fd = 0; fd < kNews; ++fd) ::close(fd);  // only the program keeps its ends of the pipes
  int status = 0;
  while (::waitpid(start.pid, &status, 0) < 0 && errno == EINTR) {
  }
  tell(kNews, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
  ::_exit(0);
}

pid_t fork_quietly() {
#if defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 34)
  // Skips the program's pthread_atfork(3) handlers, which may take locks. A sanitizer must see the fork.
  if (!kSanitized) return ::_Fork();
#endif
#endif
  return ::fork();
}

constexpr std::chrono::seconds kKillLimit{2};  // for the end of a killed program

// nullopt at end of file, on an error and at the deadline.
template <class Word>
std::optional<Word> read_word(int fd, Deadline deadline) {
  for (;;) {
    pollfd poll{fd, POLLIN, 0};
    const int ready = ::poll(&poll, 1, deadline.poll_timeout());
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return std::nullopt;
    Word word{};
    const auto got = ::read(fd, &word, sizeof word);
    if (got < 0 && errno == EINTR) continue;
    return got == sizeof word ? std::optional(word) : std::nullopt;
  }
}

struct Attributes {
  Attributes() {
    sigset_t none;
    sigset_t all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_init(&value);
    ::posix_spawnattr_setsigmask(&value, &none);
    ::posix_spawnattr_setsigdefault(&value, &all);
    ::posix_spawnattr_setpgroup(&value, 0);
    ::posix_spawnattr_setflags(&value,
                               POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;
  ~Attributes() { ::posix_spawnattr_destroy(&value); }
  posix_spawnattr_t value{};
};

}  // namespace

Child::Child(const std::string& path, const std::vector<std::string>& argv, Streams streams,
             Deadline deadline, Environment environment) {
  std::vector<char*> words;
  for (const auto& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  std::array<char*, 1> nothing{};
  char** const variables = environment == Environment::ours ? environ : nothing.data();
  const Attributes attributes;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw Error::from_errno("pipe", errno);
  news_.reset(ends[0]);
  Fd theirs(ends[1]);
  int cause = 0;
  {
    const SignalsBlocked blocked;  // no handler of the program may run in the child
    between_ = fork_quietly();
    cause = errno;
    if (between_ == 0)
      live_between(path.c_str(), words.data(), variables,
                   {streams.in, streams.out, streams.err, theirs.get()}, &attributes.value);
  }
  if (between_ < 0) throw Error::from_errno("fork", cause);
  theirs.reset();
  const auto start = read_word<Start>(news_.get(), deadline);
  if (start && start->failed == 0) {
    program_ = start->pid;
    return;
  }
  end(start.has_value());
  if (start) throw Error::from_errno(fmt::format("run {}", path), start->failed);
  throw Error(deadline.expired() ? Errc::timed_out : Errc::failure, fmt::format("{} did not start", path));
}

Child::~Child() { end(false); }

// Kills the program's process group, upon which the intermediate child reports and ends. A program in an
// uninterruptible sleep stays until that ends: after kKillLimit it is left to init, as the intermediate child,
// which only waits, can always be killed.
// One that has reported may already be reaped by the program that links this library, and is not killed.
void Child::end(bool has_reported) noexcept {
  if (between_ < 0) return;
  if (program_ > 0) {
    ::kill(-program_, SIGKILL);
    has_reported = read_word<int>(news_.get(), Deadline::after(kKillLimit)).has_value();
  }
  if (!has_reported) ::kill(between_, SIGKILL);
  while (::waitpid(between_, nullptr, 0) < 0 && errno == EINTR) {
  }
  between_ = -1;
}

std::optional<int> Child::wait(Deadline deadline) {
  const auto code = read_word<int>(news_.get(), deadline);
  if (!code) return std::nullopt;
  program_ = -1;
  end(true);
  return code;
}

}  // namespace hostnet
