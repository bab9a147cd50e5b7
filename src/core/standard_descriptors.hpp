// Descriptors 0, 1 and 2 of a program that was started without one of them, as by `<&-` in a shell.
#pragma once

#include <fcntl.h>
#include <unistd.h>

namespace hostnet {

/// Opens each closed one to /dev/null. Otherwise a lock, a signalfd or a connection would get its number, and be read as
/// input or get messages. The first call in main().
inline void open_standard_descriptors() noexcept {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    // open() gives the lowest free number: this one.
    if (::open("/dev/null", O_RDWR) != fd) ::_exit(1);
  }
}

}  // namespace hostnet
