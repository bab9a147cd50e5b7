// The caller's terminal, handed to a program in a container: `run --image -it`.
#pragma once

#include <termios.h>
#include <unistd.h>

namespace hostnet::cli {

/// Every key goes to the program, until the destructor. The signals that end this process come by signalfd, so it
/// runs for them, too.
class RawTerminal {
 public:
  explicit RawTerminal(int fd) : fd_(fd) {
    if (::tcgetattr(fd, &before_) != 0) {
      fd_ = -1;
      return;
    }
    auto raw = before_;
    ::cfmakeraw(&raw);
    ::tcsetattr(fd, TCSADRAIN, &raw);
  }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  ~RawTerminal() {
    if (fd_ >= 0) ::tcsetattr(fd_, TCSADRAIN, &before_);
  }

 private:
  int fd_;
  termios before_{};
};

}  // namespace hostnet::cli
