// Both sides of the fork and of their socket.
#include "core/child.hpp"

#include "core/sanitized.hpp"
#include "core/signals.hpp"
#include "hostnet/error.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <string_view>

extern char** environ;

namespace hostnet {
namespace {

constexpr int kNews = 3;        // the intermediate child's end of the socket
constexpr int kGrace = 10'000;  // milliseconds for which the ended program's pid stays its own
constexpr int kToEnd = 1'000;   // milliseconds from SIGTERM to SIGKILL

struct Started {
  int failed;  // an errno, or 0
  pid_t pid;
};

// What the intermediate child needs to know. Made before the fork: it must not allocate.
struct Plan {
  const char* path;
  char* const* argv;
  char* const* environment;
  const posix_spawnattr_t* attributes;
  pid_t parent;
  bool bound;
  bool asks_on_terminal;
  const char* folder;  // nullptr: none
};

template <class Word>
void tell(int fd, const Word& word) {
  [[maybe_unused]] const auto told = ::write(fd, &word, sizeof word);  // whole: the socket's buffer is empty
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

pid_t fork_quietly() {
#if defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 34)
  // Skips the program's pthread_atfork(3) handlers, which may take locks. A sanitizer must see the fork.
  if (!kSanitized) return ::_Fork();
#endif
#endif
  return ::fork();
}

// Becomes the program, or tells why not. In the child of the intermediate child.
[[noreturn]] void become(const Plan& plan, pid_t between, int why) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != between) ::_exit(1);  // it has ended already
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &action, nullptr);
  action.sa_handler = SIG_IGN;
  if (plan.asks_on_terminal)
    for (const int signal : {SIGINT, SIGQUIT, SIGHUP, SIGTSTP}) ::sigaction(signal, &action, nullptr);
  else
    ::setsid();  // leads a group, too
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execve(plan.path, plan.argv, plan.environment);
  tell(why, errno);
  ::_exit(127);
}

// Starts a bound program. posix_spawn(3) cannot set PR_SET_PDEATHSIG.
Started start_bound(const Plan& plan) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {errno, -1};
  const pid_t between = ::getpid();
  const pid_t pid = fork_quietly();
  if (pid < 0) return {errno, -1};
  if (pid == 0) become(plan, between, ends[1]);
  ::close(ends[1]);
  int cause = 0;
  while (::read(ends[0], &cause, sizeof cause) < 0 && errno == EINTR) {
  }
  ::close(ends[0]);
  return {cause, pid};
}

// Removes a folder and the files in it. Without readdir(3), which allocates.
void remove_folder(const char* path) {
  const int folder = ::open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (folder < 0) return;
  alignas(dirent64) std::array<char, 4096> entries;
  for (long got = 0; (got = ::syscall(SYS_getdents64, folder, entries.data(), entries.size())) > 0;) {
    for (long at = 0; at < got;) {
      const auto* const entry = reinterpret_cast<const dirent64*>(entries.data() + at);
      ::unlinkat(folder, entry->d_name, 0);  // fails for "." and ".."
      at += entry->d_reclen;
    }
  }
  ::close(folder);
  ::rmdir(path);
}

// Waits for the end of the program or of the parent, upon which the program has to end, too.
void wait_for_either(const Plan& plan, pid_t program) {
  const int parent = static_cast<int>(::syscall(SYS_pidfd_open, plan.parent, 0U));
  const int own = static_cast<int>(::syscall(SYS_pidfd_open, program, 0U));
  // A parent that ended before may have left its pid to another process.
  bool is_over = parent < 0 || ::getppid() != plan.parent;
  pollfd polls[2] = {{own, POLLIN, 0}, {parent, POLLIN, 0}};
  while (!is_over) {
    if (::poll(polls, 2, -1) < 0 && errno != EINTR) break;
    if ((polls[0].revents & POLLIN) != 0) return;
    is_over = (polls[1].revents & POLLIN) != 0;
  }
  const pid_t whom = plan.asks_on_terminal ? program : -program;
  ::kill(whom, SIGTERM);
  if (own >= 0) ::poll(polls, 1, kToEnd);
  ::kill(whom, SIGKILL);
}

// Waits for the program's end, and does not reap it yet. Returns its exit code as a shell reports it.
int end_of(pid_t program) {
  siginfo_t end{};
  while (::waitid(P_PID, static_cast<id_t>(program), &end, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
  }
  return end.si_code == CLD_EXITED ? end.si_status : 128 + end.si_status;
}

// Must not allocate or take a lock: at the fork another thread of the parent may have held any lock.
[[noreturn]] void live_between(const Plan& plan, std::array<int, kNews + 1> wanted) {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  ::sigaction(SIGCHLD, &action, nullptr);
  Started start{};
  const auto give_up = [&](int cause) {
    start.failed = cause;
    if (plan.folder != nullptr) remove_folder(plan.folder);
    tell(wanted.back(), start);
    ::_exit(1);
  };
  // The terminal's signals are only for the program that links the library.
  if (!plan.asks_on_terminal) ::setpgid(0, 0);
  if (!arrange(wanted)) give_up(errno);
  wanted.back() = kNews;
  if (plan.bound)
    start = start_bound(plan);
  else
    start.failed =
        ::posix_spawn(&start.pid, plan.path, nullptr, plan.attributes, plan.argv, plan.environment);
  if (start.failed != 0) give_up(start.failed);
  tell(kNews, start);
  for (int fd = 0; fd < kNews; ++fd) ::close(fd);  // only the program keeps its ends of the pipes
  if (plan.bound) wait_for_either(plan, start.pid);
  const int code = end_of(start.pid);
  if (plan.folder != nullptr) remove_folder(plan.folder);
  tell(kNews, code);
  // Until the parent has read that, it may be about to kill the pid.
  pollfd parent{kNews, POLLIN, 0};
  ::poll(&parent, 1, kGrace);
  while (::waitpid(start.pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  ::_exit(0);
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

// The intermediate child has ended. It reports first, unless it is killed, as the kernel does without memory.
bool has_closed(int fd) {
  char byte = 0;
  return ::recv(fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) == 0;
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
  start(path, argv, streams, deadline, environment, {});
}

Child::Child(const std::string& path, const std::vector<std::string>& argv, Streams streams,
             Deadline deadline, const Life& life) {
  start(path, argv, streams, deadline, Environment::ours, life);
}

void Child::start(const std::string& path, const std::vector<std::string>& argv, Streams streams,
                  Deadline deadline, Environment environment, const Life& life) {
  std::vector<char*> words;
  for (const auto& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  std::vector<char*> more;  // or none at all
  if (!life.variables.empty()) {
    // A name must be there once: of two, getenv(3) takes the first, and a shell hands on the last.
    const auto is_given = [&](std::string_view entry) {
      return std::ranges::any_of(life.variables, [&](const std::string& one) {
        return entry.starts_with(std::string_view(one).substr(0, one.find('=') + 1));
      });
    };
    for (const auto& one : life.variables) more.push_back(const_cast<char*>(one.c_str()));
    for (char** one = environ; one != nullptr && *one != nullptr; ++one)
      if (!is_given(*one)) more.push_back(*one);
  }
  more.push_back(nullptr);
  const bool is_environ = environment == Environment::ours && life.variables.empty();
  const Attributes attributes;
  const Plan plan{.path = path.c_str(),
                  .argv = words.data(),
                  .environment = is_environ ? environ : more.data(),
                  .attributes = &attributes.value,
                  .parent = ::getpid(),
                  .bound = life.bound,
                  .asks_on_terminal = life.asks_on_terminal,
                  .folder = life.folder.empty() ? nullptr : life.folder.c_str()};
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    throw Error::from_errno("socketpair", errno);
  news_.reset(ends[0]);
  Fd theirs(ends[1]);
  int cause = 0;
  {
    const SignalsBlocked blocked;  // no handler of the program may run in the child
    between_ = fork_quietly();
    cause = errno;
    if (between_ == 0) live_between(plan, {streams.in, streams.out, streams.err, theirs.get()});
  }
  if (between_ < 0) throw Error::from_errno("fork", cause);
  theirs.reset();
  const auto start = read_word<Started>(news_.get(), deadline);
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
//
// Nothing is killed after a report, nor after the end of the intermediate child: a pid may be another
// process's then.
void Child::end(bool has_reported) noexcept {
  if (between_ < 0) return;
  bool has_ended = false;
  if (program_ > 0) {
    has_reported = read_word<int>(news_.get(), Deadline::after(std::chrono::seconds{0})).has_value();
    has_ended = !has_reported && has_closed(news_.get());
    if (!has_reported && !has_ended) {
      // The pid is the program's: it is not reaped before the report is read, or for kGrace after that was
      // sent.
      ::kill(-program_, SIGKILL);
      ::kill(program_, SIGKILL);  // leads no group if it asks on the terminal
      has_reported = read_word<int>(news_.get(), Deadline::after(kKillLimit)).has_value();
    }
  }
  if (!has_reported && !has_ended) ::kill(between_, SIGKILL);
  ::send(news_.get(), "", 1, MSG_NOSIGNAL);  // upon which it reaps the program
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
