// Owners for descriptors and C handles, so that no path out of a function leaks one.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace hostnet {

/// Owns one file descriptor; -1 is none.
class Fd {
 public:
  Fd() noexcept = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~Fd() { reset(); }

  void reset(int fd = -1) noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  [[nodiscard]] int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// Closes descriptors `first` to `last`, both included; ~0U means the last possible one. Before Linux 5.9 it
/// stops at 65536. Safe after fork(2).
inline void close_descriptors(unsigned first, unsigned last) noexcept {
  if (::syscall(SYS_close_range, first, last, 0U) == 0) return;  // Linux 5.9
  for (unsigned fd = first; fd <= std::min(last, 1U << 16); ++fd) ::close(static_cast<int>(fd));
}

/// Adapts a C free function to std::unique_ptr.
template <auto Free>
struct FreeWith {
  template <class T>
  void operator()(T* handle) const noexcept {
    Free(handle);
  }
};

/// `unique_handle<nl_sock, nl_socket_free>`: a C handle that frees itself.
template <class T, auto Free>
using unique_handle = std::unique_ptr<T, FreeWith<Free>>;

}  // namespace hostnet
