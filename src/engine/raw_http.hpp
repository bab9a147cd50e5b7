// What a request needs whose answer libcurl cannot carry: one that goes on in both directions, or one that
// never ends and has to be waited for beside other things.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "engine/address.hpp"
#include "engine/curl.hpp"

#include <sys/types.h>

#include <cstddef>
#include <string_view>

namespace hostnet::engine {

/// No engine's headers are anywhere near as large.
inline constexpr std::size_t kLargestHead = 64U << 10;

/// A connection to an engine, of bytes both ways, that never blocks: a plain socket to a Unix socket; over
/// TCP libcurl connects, speaks TLS, and is left out of the rest.
///
/// A record of TLS holds at most 16 KiB. Who offers receive() that much takes it whole, so that nothing stays
/// behind in libcurl for which fd() would not become readable.
class Wire {
 public:
  /// To a Unix socket it waits for nothing. @throws Error: invalid_argument for a path that does not fit,
  /// engine_unavailable, not_authorised, timed_out.
  Wire(const Address& address, Deadline deadline);

  /// To be waited for.
  [[nodiscard]] int fd() const noexcept { return fd_; }
  /// As send(2) and recv(2) without waiting: a number of bytes, 0 at the end of what comes, or -1 with errno,
  /// which is EAGAIN when fd() has to be waited for.
  ssize_t send(std::string_view bytes) noexcept;
  ssize_t receive(char* buffer, std::size_t size) noexcept;
  /// Whether the end of what is sent can be told while the other direction goes on. libcurl has no such call
  /// for TLS.
  [[nodiscard]] bool can_end_output() const noexcept { return !tls_; }
  /// Tells it; only where it can be told.
  void end_output() noexcept;

 private:
  Fd own_;             // a Unix socket, or
  EasyHandle handle_;  // what keeps the connection
  bool tls_ = false;
  int fd_ = -1;
};

/// Where the blank line at the end of an answer's head begins, or npos. The first `seen` bytes were searched
/// before: a head that comes byte by byte is gone through once.
std::size_t end_of_head(std::string_view head, std::size_t seen);

/// The status in the first line of an answer, "HTTP/1.1 101 UPGRADED"; 0 for what is no such line.
long status_of(std::string_view head);

}  // namespace hostnet::engine
