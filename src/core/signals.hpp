// Blocks signals in the library's threads and while it forks.
#pragma once

#include <csignal>

namespace hostnet {

/// All signals except those that the kernel raises for a fault of the thread itself (SIGSEGV and so on): they
/// end the program anyway, and its handlers report them.
inline sigset_t all_but_faults() noexcept {
  sigset_t set;
  ::sigfillset(&set);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT})
    ::sigdelset(&set, fault);
  return set;
}

/// Blocks all_but_faults() in the calling thread while the object lives.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept {
    const auto set = all_but_faults();
    ::pthread_sigmask(SIG_BLOCK, &set, &before_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

}  // namespace hostnet
