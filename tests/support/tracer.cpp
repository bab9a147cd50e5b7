// Traces a command's system calls.
//
// When a thread stops on entry to a system call, the kernel has done nothing for the call yet, and SIGKILL
// makes the kernel skip it. The tracer follows every thread and child from its first instruction
// (PTRACE_O_TRACECLONE and similar), and all of them die with the tracer.
#include "support/tracer.hpp"

#include "core/fd.hpp"

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <set>
#include <system_error>

namespace test {
namespace {

struct Change {
  std::uint64_t number;
  const char* name;
};

// The calls that can change the kernel's tables, the lease store, a lock or what another process reads. All
// forms of a call share one name.
constexpr std::array kChanges{
    Change{SYS_setsockopt, "setsockopt"},
    Change{SYS_sendto, "sendto"},
    Change{SYS_sendmsg, "sendmsg"},
    Change{SYS_write, "write"},
    Change{SYS_pwrite64, "pwrite"},
    Change{SYS_ftruncate, "ftruncate"},
    Change{SYS_rename, "rename"},
    Change{SYS_renameat, "rename"},
    Change{SYS_renameat2, "rename"},
    Change{SYS_unlink, "unlink"},
    Change{SYS_unlinkat, "unlink"},
    Change{SYS_link, "link"},
    Change{SYS_linkat, "link"},
    Change{SYS_mkdir, "mkdir"},
    Change{SYS_mkdirat, "mkdir"},
    Change{SYS_rmdir, "rmdir"},
    Change{SYS_flock, "flock"},
    Change{SYS_execve, "execve"},
    Change{SYS_clone, "clone"},
    Change{SYS_clone3, "clone"},
    Change{SYS_fork, "fork"},
    Change{SYS_vfork, "fork"},
    Change{SYS_unshare, "unshare"},
    Change{SYS_mount, "mount"},
    Change{SYS_umount2, "umount"},
};

// A netlink query, which changes nothing: a dump, or a GET message of rtnetlink or nftables (rtnetlink(7),
// linux/netfilter/nf_tables.h).
bool is_question(pid_t pid, const __ptrace_syscall_info& info) {
  nlmsghdr header{};
  const iovec here{.iov_base = &header, .iov_len = sizeof header};
  const iovec there{.iov_base = reinterpret_cast<void*>(info.entry.args[1]), .iov_len = sizeof header};
  if (info.entry.args[2] < sizeof header || ::process_vm_readv(pid, &here, 1, &there, 1, 0) < 0) return false;
  if (header.nlmsg_len != info.entry.args[2]) return false;
  if ((header.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP) return true;
  // nfnetlink messages have a subsystem in the upper byte.
  const unsigned subsystem = header.nlmsg_type >> 8U;
  const unsigned message = header.nlmsg_type & 0xffU;
  if (subsystem == 0) return message >= RTM_BASE && (message & 3U) == 2;
  return subsystem == NFNL_SUBSYS_NFTABLES && message <= NFT_MSG_GETOBJ && message % 3 == 1;
}

const char* change_of(pid_t pid, const __ptrace_syscall_info& info) {
  if (info.op != PTRACE_SYSCALL_INFO_ENTRY) return nullptr;
  if (info.entry.nr == SYS_sendto && is_question(pid, info)) return nullptr;
  if (info.entry.nr == SYS_openat && (info.entry.args[2] & O_CREAT) != 0) return "openat(O_CREAT)";
  const auto found = std::find_if(kChanges.begin(), kChanges.end(),
                                  [&](const Change& change) { return change.number == info.entry.nr; });
  return found == kChanges.end() ? nullptr : found->name;
}

[[noreturn]] void become(char* const* argv) {
  const int null = ::open("/dev/null", O_RDWR);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null, fd);
  ::setenv("ASAN_OPTIONS", "detect_leaks=0",
           1);  // the leak check traces its process, which this tracer already traces
  ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
  ::raise(SIGSTOP);
  ::execv(argv[0], argv);
  ::_exit(127);
}

class Tracee {
 public:
  explicit Tracee(const std::vector<std::string>& argv) {
    std::vector<char*> words;
    for (const auto& word : argv) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    root_ = ::fork();
    if (root_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (root_ == 0) become(words.data());
    int status = 0;
    ::waitpid(root_, &status, 0);
    constexpr long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                             PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    ::ptrace(PTRACE_SETOPTIONS, root_, nullptr, options);
    alive_.insert(root_);
    go_on(root_, 0);
  }
  Tracee(const Tracee&) = delete;
  Tracee& operator=(const Tracee&) = delete;
  ~Tracee() { kill_all(); }

  // Stops before the n-th change, or before the n-th change by `call`.
  Traced run(const std::string& call, unsigned n, const std::function<void()>& meanwhile) {
    Traced end;
    for (;;) {
      int status = 0;
      const pid_t pid = ::waitpid(-1, &status, __WALL | __WNOTHREAD);
      if (pid < 0) throw std::system_error(errno, std::generic_category(), "waitpid");
      if (WIFEXITED(status) || WIFSIGNALED(status)) {
        alive_.erase(pid);
        if (pid != root_) continue;
        end.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        return end;
      }
      alive_.insert(pid);
      const int signal = WSTOPSIG(status);
      if (signal == (SIGTRAP | 0x80)) {
        __ptrace_syscall_info info{};
        ::ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
        const char* const change = change_of(pid, info);
        if (change != nullptr && (call.empty() || call == change) && n-- == 0) {
          end.call = change;
          end.killed = !meanwhile;
          if (end.killed) return end;
          meanwhile();
        }
      }
      const bool of_tracing = signal == (SIGTRAP | 0x80) || signal == SIGTRAP || signal == SIGSTOP;
      go_on(pid, of_tracing ? 0 : signal);
    }
  }

 private:
  static void go_on(pid_t pid, long signal) { ::ptrace(PTRACE_SYSCALL, pid, nullptr, signal); }

  void kill_all() {
    for (const pid_t pid : alive_) ::kill(pid, SIGKILL);
    for (;;) {
      int status = 0;
      const pid_t pid = ::waitpid(-1, &status, __WALL | __WNOTHREAD);
      if (pid < 0 && errno != EINTR) return;
      // A process that started while the others were being killed.
      if (pid > 0 && WIFSTOPPED(status)) ::kill(pid, SIGKILL);
    }
  }

  pid_t root_ = 0;
  std::set<pid_t> alive_;
};

}  // namespace

Traced kill_before_change(const std::vector<std::string>& argv, unsigned n) {
  return Tracee(argv).run({}, n, {});
}

Traced meet_before_change(const std::vector<std::string>& argv, const std::string& call, unsigned n,
                          const std::function<void()>& meanwhile) {
  return Tracee(argv).run(call, n, meanwhile);
}

}  // namespace test
