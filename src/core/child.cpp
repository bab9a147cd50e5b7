// Both sides of the fork, and what they say to each other.
#include "core/child.hpp"

#include "core/signals.hpp"
#include "hostnet/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

extern char** environ;

namespace hostnet {
namespace {

constexpr int kNews = 3;  // the descriptor by which the child between speaks

void close_from(unsigned first) {
  if (::syscall(SYS_close_range, first, ~0U, 0U) == 0) return;
  for (unsigned fd = first; fd < 1U << 16; ++fd) ::close(static_cast<int>(fd));
}

void tell(int number) { [[maybe_unused]] const auto told = ::write(kNews, &number, sizeof number); }

// Nothing here allocates or takes a lock: other threads of the parent may have held any at the fork.
[[noreturn]] void live_between(const char* path, char* const* argv, char* const* environment,
                               std::array<int, kNews + 1> wanted, const posix_spawnattr_t* attributes) {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  ::sigaction(SIGCHLD, &action, nullptr);
  ::setpgid(0, 0);
  for (auto& fd : wanted) fd = fd < 0 ? ::open("/dev/null", O_RDWR) : fd;
  for (auto& fd : wanted) fd = ::fcntl(fd, F_DUPFD, kNews + 1);
  for (int i = 0; i <= kNews; ++i) ::dup2(wanted.at(static_cast<std::size_t>(i)), i);
  ::fcntl(kNews, F_SETFD, FD_CLOEXEC);
  close_from(kNews + 1);
  pid_t pid = 0;
  const int failed = ::posix_spawn(&pid, path, nullptr, attributes, argv, environment);
  tell(failed);
  if (failed != 0) ::_exit(1);
  for (int fd = 0; fd < kNews; ++fd) ::close(fd);  // its ends of pipes are the program's alone
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  tell(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
  ::_exit(0);
}

// nullopt at the end of it, and when nothing came in time.
std::optional<int> read_number(int fd, Deadline deadline) {
  for (;;) {
    pollfd poll{fd, POLLIN, 0};
    const int ready = ::poll(&poll, 1, deadline.poll_timeout());
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return std::nullopt;
    int number = 0;
    const auto got = ::read(fd, &number, sizeof number);  // at once or not at all: pipe(7), PIPE_BUF
    if (got < 0 && errno == EINTR) continue;
    return got == sizeof number ? std::optional(number) : std::nullopt;
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
    ::posix_spawnattr_setflags(&value, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;
  ~Attributes() { ::posix_spawnattr_destroy(&value); }
  posix_spawnattr_t value{};
};

}  // namespace

Child::Child(const std::string& path, const std::vector<std::string>& argv, Streams streams,
             Environment environment) {
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
  {
    const SignalsBlocked blocked;  // lest a handler of the program run in the child
    pid_ = ::fork();
    if (pid_ == 0)
      live_between(path.c_str(), words.data(), variables,
                   {streams.in, streams.out, streams.err, theirs.get()}, &attributes.value);
  }
  if (pid_ < 0) throw Error::from_errno("fork", errno);
  theirs.reset();
  const auto failed = read_number(news_.get(), Deadline::never());
  if (failed == 0) return;
  while (::waitpid(std::exchange(pid_, -1), nullptr, 0) < 0 && errno == EINTR) {
  }
  throw Error::from_errno(fmt::format("run {}", path), failed.value_or(ECHILD));
}

Child::~Child() {
  if (pid_ < 0) return;
  ::kill(-pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::optional<int> Child::wait(Deadline deadline) {
  const auto code = read_number(news_.get(), deadline);
  if (!code) return std::nullopt;
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return code;
}

}  // namespace hostnet
