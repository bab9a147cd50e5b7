// Drops capabilities through the kernel's own interface and installs the filter with libseccomp.
#include "daemon/confinement.hpp"

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "core/log.hpp"
#include "core/process.hpp"
#include "core/sanitized.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <linux/capability.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <utility>

namespace hostnet::daemon {
namespace {

constexpr std::array<unsigned, 2> kKept{CAP_NET_ADMIN, CAP_NET_RAW};
constexpr std::array kFamilies{AF_UNIX, AF_NETLINK, AF_INET, AF_INET6};
constexpr std::uint64_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                      CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | 0x80 /* CLONE_NEWTIME */;

// Calls of the daemon, iptables-nft-save and -restore, modprobe and the C library (glibc 2.36 to 2.41):
// systemd's @system-service without @privileged, @resources and @mount, and without calls that none of these
// need: other users' ids and files, keys, System V and POSIX queues, other processes' memory, namespaces.
constexpr std::array kCalls{
    // memory and threads
    "arch_prctl", "brk", "exit", "exit_group", "futex", "futex_time64", "futex_waitv", "get_robust_list",
    "get_thread_area", "getcpu", "madvise", "membarrier", "mincore", "mremap", "msync", "munmap",
    "restart_syscall", "riscv_flush_icache", "riscv_hwprobe", "rseq", "sched_getaffinity", "sched_getparam",
    "sched_getscheduler", "sched_yield", "set_robust_list", "set_thread_area", "set_tid_address", "set_tls",
    // programs
    "execve", "execveat", "fork", "kill", "pidfd_open", "pidfd_send_signal", "pipe", "pipe2", "prctl",
    "setpgid", "setsid", "tgkill", "tkill", "vfork", "wait4", "waitid", "waitpid",
    // identity and location of this process
    "capget", "getcwd", "getegid", "getegid32", "geteuid", "geteuid32", "getgid", "getgid32", "getgroups",
    "getgroups32", "getpgid", "getpgrp", "getpid", "getppid", "getpriority", "getresgid", "getresgid32",
    "getresuid", "getresuid32", "getrlimit", "getrusage", "getsid", "gettid", "getuid", "getuid32",
    "prlimit64", "sysinfo", "times", "ugetrlimit", "umask", "uname",
    // signals
    "pause", "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn",
    "rt_sigsuspend", "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_tgsigqueueinfo", "sigaltstack",
    "sigreturn", "signalfd", "signalfd4",
    // clocks
    "alarm", "clock_getres", "clock_getres_time64", "clock_gettime", "clock_gettime64", "clock_nanosleep",
    "clock_nanosleep_time64", "getitimer", "gettimeofday", "nanosleep", "setitimer", "time", "timer_create",
    "timer_delete", "timer_getoverrun", "timer_gettime", "timer_gettime64", "timer_settime",
    "timer_settime64", "timerfd_create", "timerfd_gettime", "timerfd_gettime64", "timerfd_settime",
    "timerfd_settime64",
    // files, and descriptors in general
    "_llseek", "access", "chdir", "chmod", "close", "close_range", "copy_file_range", "creat", "dup", "dup2",
    "dup3", "faccessat", "faccessat2", "fadvise64", "fadvise64_64", "fallocate", "fchdir", "fchmod",
    "fchmodat", "fchmodat2", "fcntl", "fcntl64", "fdatasync", "fgetxattr", "flock", "fstat", "fstat64",
    "fstatat64", "fstatfs", "fstatfs64", "fsync", "ftruncate", "ftruncate64", "getdents", "getdents64",
    "getrandom", "getxattr", "ioctl", "lgetxattr", "link", "linkat", "lseek", "lstat", "lstat64",
    "memfd_create", "mkdir", "mkdirat", "newfstatat", "open", "openat", "openat2", "pread64", "preadv",
    "preadv2", "pwrite64", "pwritev", "pwritev2", "read", "readahead", "readlink", "readlinkat", "readv",
    "rename", "renameat", "renameat2", "rmdir", "sendfile", "sendfile64", "splice", "stat", "stat64",
    "statfs", "statfs64", "statx", "symlink", "symlinkat", "sync_file_range", "tee", "truncate", "truncate64",
    "unlink", "unlinkat", "utime", "utimensat", "utimensat_time64", "utimes", "write", "writev",
    // waiting
    "_newselect", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait",
    "eventfd", "eventfd2", "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch", "poll",
    "ppoll", "ppoll_time64", "pselect6", "pselect6_time64", "select",
    // sockets; filter_calls() admits socket() by family
    "accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen", "recv",
    "recvfrom", "recvmmsg", "recvmmsg_time64", "recvmsg", "send", "sendmmsg", "sendmsg", "sendto",
    "setsockopt", "shutdown", "socketpair"};

// LeakSanitizer scans from a tracer process of its own.
constexpr std::array kOfSanitizers{"personality", "process_vm_readv", "ptrace", "sched_getattr", "setrlimit"};

[[noreturn]] void fail(std::string_view what, int error) {
  throw Error::from_errno(fmt::format("give up privileges: {}", what), error);
}

struct CapabilitySets {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> words{};

  void read() {
    if (::syscall(SYS_capget, &header, words.data()) != 0) fail("read the capabilities", errno);
  }
  [[nodiscard]] bool has(unsigned capability) const {
    return (words.at(CAP_TO_INDEX(capability)).effective & CAP_TO_MASK(capability)) != 0;
  }
};

// Under systemd the unit loads the module. The kernel loads all other modules for the rules by itself.
void load_ip_tables() {
  try {
    run_process({"modprobe", "-q", "ip_tables"}, "", Deadline::after(std::chrono::seconds{10}));
  } catch (const Error& error) {
    log::debug("ip_tables: {}", error.what());  // rules in nf_tables do not need it
  }
}

bool is_kept(unsigned capability) {
  for (const auto kept : kKept)
    if (kept == capability) return true;
  return false;
}

void drop_capabilities(CapabilitySets sets) {
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
    fail("clear the ambient capabilities", errno);
  for (unsigned capability = 0;; ++capability) {
    const int there = ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    if (there < 0) break;  // beyond the kernel's last capability
    if (there == 1 && !is_kept(capability) && ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0)
      fail(fmt::format("drop capability {} from the bounding set", capability), errno);
  }
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> kept{};
  for (const auto capability : kKept) {
    auto& word = kept.at(CAP_TO_INDEX(capability));
    word.permitted |= sets.words.at(CAP_TO_INDEX(capability)).permitted & CAP_TO_MASK(capability);
    word.effective = word.permitted;
  }
  // Under the unit nothing is left to drop, and its filter refuses capset().
  bool excess = false;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const auto& word = sets.words.at(i);
    excess = excess || ((word.permitted | word.effective | word.inheritable) & ~kept.at(i).permitted) != 0;
  }
  if (!excess) return;
  if (::syscall(SYS_capset, &sets.header, kept.data()) != 0) fail("drop capabilities", errno);
}

class Filter {
 public:
  Filter() : context_(::seccomp_init(SCMP_ACT_ERRNO(EPERM))) {
    if (!context_) fail("make a system-call filter", ENOMEM);
  }

  void allow(const char* call) { add(SCMP_ACT_ALLOW, call, {}); }
  void allow_where(const char* call, scmp_arg_cmp condition) { add(SCMP_ACT_ALLOW, call, {condition}); }
  // Answers like a kernel without the call, so that the C library falls back to an older one.
  void hide(const char* call) { add(SCMP_ACT_ERRNO(ENOSYS), call, {}); }

  void load() {
    for (const auto& [attribute, value] :
         {std::pair{SCMP_FLTATR_CTL_TSYNC, 1U}, std::pair{SCMP_FLTATR_CTL_NNP, 1U},
          std::pair{SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM)}})
      if (const int code = ::seccomp_attr_set(context_.get(), attribute, value); code != 0)
        fail("set up the system-call filter", -code);
    if (const int code = ::seccomp_load(context_.get()); code != 0)
      fail("load the system-call filter", -code);
  }

 private:
  void add(std::uint32_t action, const char* call, std::initializer_list<scmp_arg_cmp> conditions) {
    const int number = ::seccomp_syscall_resolve_name(call);
    if (number == __NR_SCMP_ERROR) return;  // this libseccomp is older than the call
    if (const int code = ::seccomp_rule_add_array(
            context_.get(), action, number, static_cast<unsigned>(conditions.size()), conditions.begin());
        code != 0)
      fail(fmt::format("add {} to the system-call filter", call), -code);
  }

  struct Release {
    void operator()(void* context) const noexcept { ::seccomp_release(context); }
  };
  std::unique_ptr<void, Release> context_;
};

scmp_arg_cmp masked(unsigned argument, std::uint64_t mask, std::uint64_t value) {
  return {.arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
}

scmp_arg_cmp equal(unsigned argument, std::uint64_t value) {
  return {.arg = argument, .op = SCMP_CMP_EQ, .datum_a = value, .datum_b = 0};
}

void filter_calls() {
  Filter filter;
  for (const auto* const call : kCalls) filter.allow(call);
  if (kSanitized)
    for (const auto* const call : kOfSanitizers) filter.allow(call);
  for (const auto family : kFamilies)
    filter.allow_where("socket", equal(0, static_cast<std::uint64_t>(family)));
    // Refuse new namespaces. clone3() passes its flags by pointer, which a filter cannot read.
#if defined(__s390x__)
  constexpr unsigned kCloneFlags = 1;
#else
  constexpr unsigned kCloneFlags = 0;
#endif
  filter.allow_where("clone", masked(kCloneFlags, kNamespaces, 0));
  filter.hide("clone3");
  // Refuse memory that is writable and executable, at once or in turn.
  for (const int protection : {0, PROT_WRITE, PROT_EXEC})
    for (const auto* const call : {"mmap", "mmap2"})
      filter.allow_where(call, masked(2, PROT_WRITE | PROT_EXEC, static_cast<std::uint64_t>(protection)));
  filter.allow_where("mprotect", masked(2, PROT_EXEC, 0));
  filter.load();
}

}  // namespace

void confine() {
  CapabilitySets sets;
  sets.read();
  if (sets.has(CAP_SYS_MODULE)) load_ip_tables();
  drop_capabilities(sets);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("set no_new_privs", errno);
  filter_calls();
}

}  // namespace hostnet::daemon
