// Signals kept away from a thread of the library, or from the moment in which it makes a child.
#pragma once

#include <csignal>

namespace hostnet {

/// All signals but those that the kernel raises for a fault of the thread itself (SIGSEGV and its like),
/// which end the program in any case and whose handlers report it.
inline sigset_t all_but_faults() noexcept {
  sigset_t set;
  ::sigfillset(&set);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT})
    ::sigdelset(&set, fault);
  return set;
}

/// Blocks them in the calling thread as long as the object lives.
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
