// A container's output that was followed, and what the engine left out at its end. Podman 4 loses now and
// then the last lines of a short run, and may overlook the end altogether.
#pragma once

#include "engine/stream.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hostnet::engine {

/// Hands output on as it comes, and of the same output told again only what has not been handed on. It keeps
/// a digest of it and no copy. A plain value.
class Followed {
 public:
  explicit Followed(OutputSink sink) : sink_(std::move(sink)) {}

  /// @throws what the sink throws.
  void take(Stream stream, std::string_view piece);
  /// The next piece of the whole, told from the beginning once take() has had the last. Nothing is handed on
  /// of a stream that began otherwise than what was taken (lines were left out amid it).
  /// @throws what the sink throws.
  void take_again(Stream stream, std::string_view piece);
  /// Bytes of both streams that have been taken.
  [[nodiscard]] std::size_t size() const noexcept { return streams_[0].size + streams_[1].size; }

 private:
  // FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/: nobody gains by a collision.
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
