// The forked child and its parent's wait.
#include "core/apart.hpp"

#include "core/fd.hpp"
#include "core/file.hpp"
#include "core/signals.hpp"
#include "hostnet/error.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <utility>

namespace hostnet {
namespace {

using std::chrono::milliseconds;
using Job = std::function<std::string(std::size_t)>;
using Length = std::uint64_t;  // precedes each answer

constexpr milliseconds kToDie{100};  // the time a killed child gets to die

void close_all_but(int kept) {
  if (kept > 0) close_descriptors(0, static_cast<unsigned>(kept) - 1);
  close_descriptors(static_cast<unsigned>(kept) + 1, ~0U);
}

[[noreturn]] void live_apart(int out, pid_t parent, std::size_t first, std::size_t count, const Job& job) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  close_all_but(out);
  if (::getppid() != parent || ::chdir("/") != 0) ::_exit(1);
  try {
    for (auto i = first; i < count; ++i) {
      const auto answer = job(i);
      const Length length = answer.size();
      std::string message(sizeof length, '\0');
      std::memcpy(message.data(), &length, sizeof length);
      write_all(out, message + answer);
    }
  } catch (...) {
    ::_exit(1);
  }
  ::_exit(0);
}

// Killed children that hang in the kernel. Each run_apart() reaps those that have died since.
class Abandoned {
 public:
  void add(pid_t pid) {
    const std::scoped_lock lock(mutex_);
    pids_.push_back(pid);
  }
  void reap() {
    const std::scoped_lock lock(mutex_);
    std::erase_if(pids_, [](pid_t pid) { return ::waitpid(pid, nullptr, WNOHANG) != 0; });
  }

 private:
  std::mutex mutex_;
  std::vector<pid_t> pids_;
};

Abandoned& abandoned() {
  static Abandoned children;
  return children;
}

class Worker {
 public:
  Worker(std::size_t first, std::size_t count, const Job& job) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw Error::from_errno("pipe", errno);
    answers_.reset(ends[0]);
    Fd write_end(ends[1]);
    const auto parent = ::getpid();
    int cause = 0;
    {
      const SignalsBlocked blocked;  // the child inherits the mask
      pid_ = ::fork();
      cause = errno;
      if (pid_ == 0) live_apart(write_end.get(), parent, first, count, job);
    }
    if (pid_ < 0) throw Error::from_errno("fork", cause);
    life_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() {
    if (life_)
      ::syscall(SYS_pidfd_send_signal, life_.get(), SIGKILL, nullptr, 0);
    else
      ::kill(pid_, SIGKILL);
    const auto patience = Deadline::after(kToDie);
    for (;;) {
      const auto ended = ::waitpid(pid_, nullptr, WNOHANG);
      if (ended == pid_ || (ended < 0 && errno != EINTR)) return;
      if (patience.expired()) {
        abandoned().add(pid_);
        return;
      }
      pollfd poll{life_.get(), POLLIN, 0};
      ::poll(&poll, life_ ? 1 : 0, life_ ? patience.poll_timeout() : 1);
    }
  }

  /// Reads exactly `size` bytes. False at end of file, on an error and at the deadline.
  bool read(char* into, std::size_t size, Deadline deadline) const {
    while (size > 0) {
      pollfd poll{answers_.get(), POLLIN, 0};
      const int ready = ::poll(&poll, 1, deadline.poll_timeout());
      if (ready < 0 && errno == EINTR) continue;
      if (ready <= 0) return false;
      const auto got = ::read(answers_.get(), into, size);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      into += got;
      size -= static_cast<std::size_t>(got);
    }
    return true;
  }

  [[nodiscard]] std::optional<std::string> next(Deadline deadline) const {
    std::array<char, sizeof(Length)> head{};
    if (!read(head.data(), head.size(), deadline)) return std::nullopt;
    Length length = 0;
    std::memcpy(&length, head.data(), sizeof length);
    std::string answer(length, '\0');
    if (!read(answer.data(), answer.size(), deadline)) return std::nullopt;
    return answer;
  }

 private:
  pid_t pid_ = -1;
  Fd answers_;
  Fd life_;  // a pidfd; empty before Linux 5.3
};

}  // namespace

std::vector<std::optional<std::string>> run_apart(std::size_t count, const Job& job, Deadline deadline,
                                                  milliseconds stall) {
  abandoned().reap();
  std::vector<std::optional<std::string>> answers(count);
  for (std::size_t next = 0; next < count && !deadline.expired();) {
    const Worker child(next, count, job);
    while (next < count) {
      answers[next] = child.next(Deadline::after(std::min(stall, deadline.remaining())));
      if (!answers[next++]) break;
    }
  }
  return answers;
}

}  // namespace hostnet
