// A container's followed output, completed at its end. Podman 4 sometimes drops the last lines of a short
// run, and so does Docker on a busy machine.
#pragma once

#include "engine/stream.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hostnet::engine {

/// Passes output on as it comes. When the same output is read again, passes on only the part that is new.
/// Keeps a digest, no copy. A plain value.
class Followed {
 public:
  explicit Followed(OutputSink sink) : sink_(std::move(sink)) {}

  /// @throws what the sink throws.
  void take(Stream stream, std::string_view piece);
  /// The next piece of the second reading, from the beginning, after the last take(). Passes nothing on of a
  /// stream that begins differently than what was taken (the engine dropped lines in the middle).
  /// @throws what the sink throws.
  void take_again(Stream stream, std::string_view piece);
  /// Bytes taken, of both streams.
  [[nodiscard]] std::size_t size() const noexcept { return streams_[0].size + streams_[1].size; }

 private:
  // FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/. No attacker gains from a collision.
  static constexpr std::uint64_t kBasis = 0xcbf29ce484222325;
  struct One {
    std::size_t size = 0;
    std::uint64_t digest = kBasis;
    std::size_t size_again = 0;  // At most `size`.
    std::uint64_t digest_again = kBasis;
  };
  static void digest(std::uint64_t& state, std::string_view piece) noexcept;
  One& one(Stream stream) noexcept { return streams_[stream == Stream::out ? 0 : 1]; }

  OutputSink sink_;
  std::array<One, 2> streams_;
};

}  // namespace hostnet::engine
