// signalfd(2) for the signals that end a command.
#include "cli/stop_signals.hpp"

#include "hostnet/error.hpp"

#include <sys/signalfd.h>

#include <cerrno>
#include <csignal>

namespace hostnet::cli {

Fd stop_signals() {
  sigset_t stop;
  ::sigemptyset(&stop);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&stop, signal);
  ::sigprocmask(SIG_BLOCK, &stop, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  Fd fd(::signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) throw Error::from_errno("signalfd", errno);
  return fd;
}

}  // namespace hostnet::cli
