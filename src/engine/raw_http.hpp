// Connections for requests that libcurl cannot carry: a stream in both directions, or an endless answer that
// the caller waits for beside other events.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "engine/address.hpp"
#include "engine/curl.hpp"

#include <sys/types.h>

#include <cstddef>
#include <string_view>

namespace hostnet::engine {

/// Limit of an answer's headers; real ones are much smaller.
inline constexpr std::size_t kLargestHead = 64U << 10;

/// A byte stream to and from an engine. To a Unix socket it is a plain socket. Over TCP libcurl connects,
/// speaks TLS and does nothing else. send() and receive() never block.
///
/// A TLS record holds at most 16 KiB. Offer receive() at least that much, so that it takes a record whole and
/// libcurl keeps no bytes back, for which fd() would not become readable.
class Wire {
 public:
  /// Over TCP, waits for the connection until the deadline or the cutoff, by ssh for the login; to a Unix socket, does
  /// not wait.
  /// @throws Error: invalid_argument for a path too long for a Unix socket, engine_unavailable,
  /// not_authorised, timed_out.
  Wire(const Address& address, Deadline deadline);

  /// For poll(2).
  [[nodiscard]] int fd() const noexcept { return fd_; }
  /// As send(2) and recv(2) without blocking: the number of bytes, 0 at the end of the input, or -1 with
  /// errno; EAGAIN: poll fd() first.
  ssize_t send(std::string_view bytes) noexcept;
  ssize_t receive(char* buffer, std::size_t size) noexcept;
  /// Whether end_output() works. libcurl cannot end one direction of a TLS connection.
  [[nodiscard]] bool can_end_output() const noexcept { return !tls_; }
  /// Ends the output; the input goes on. Call only if can_end_output().
  void end_output() noexcept;

 private:
  Fd own_;             // the Unix socket, or
  EasyHandle handle_;  // libcurl's handle, which keeps the TCP connection
  bool tls_ = false;
  int fd_ = -1;
};

/// The position of the blank line that ends the headers, or npos. The first `seen` bytes were searched
/// before, so headers that come byte by byte are scanned only once.
std::size_t end_of_head(std::string_view head, std::size_t seen);

/// The status in an answer's first line, "HTTP/1.1 101 UPGRADED"; 0 for any other text.
long status_of(std::string_view head);

}  // namespace hostnet::engine
