// The protocol between client and server of the load generator. The first byte of a connection selects the
// exchange:
//
//   'e'       echo: the server sends back what it receives
//   'p'       one byte each way: the server answers 'p'
//   'u'       upload: the client sends the pattern and half-closes; the server answers the count of right
//             bytes
//   'd'       download: the server sends the pattern until the client half-closes, then the count of bytes,
//             then closes
//   'U', 'D'  as 'u' and 'd', with every byte compared (for warm-ups, see Pattern::matches)
//
// Counts are 8 bytes in host order: both ends run on one machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hostnet::bench {

/// How much one read or write moves at most.
inline constexpr std::size_t kChunk = 256 * 1024;
/// The size of one ping and of one pong.
inline constexpr std::size_t kPing = 64;

/// A byte stream in which each position has a known value, so that a lost, doubled or moved stretch is
/// noticed. Immutable after construction: threads may share it.
class Pattern {
 public:
  Pattern();

  /// kChunk bytes of the stream from `position` on.
  [[nodiscard]] const char* at(std::uint64_t position) const { return table_.data() + position % kPeriod; }

  /// Whether `data` is the stream at `position`. Comparing every byte costs as much as moving it and would
  /// blur the paths' differences, so timed runs compare the first 64 bytes of each read and count the rest.
  [[nodiscard]] bool matches(std::uint64_t position, const char* data, std::size_t size,
                             bool every_byte) const;

 private:
  static constexpr std::size_t kPeriod = 65'521;  // prime: no power-of-two shift maps the stream onto itself
  std::vector<char> table_;
};

}  // namespace hostnet::bench
