// Pipes for splice(2), shared by all connections of a loop.
//
// A connection has a pipe only from one splice to the next, so a few serve thousands. A stalled reader keeps
// the one with its bytes; when kMostPipes are out, take() gives none and the caller copies instead.
#pragma once

#include "core/fd.hpp"

#include <cstddef>
#include <vector>

namespace hostnet::relay {

/// Both ends are non-blocking.
struct Pipe {
  Fd read_end;
  Fd write_end;

  explicit operator bool() const noexcept { return static_cast<bool>(read_end); }
};

/// Used by one thread.
class PipePool {
 public:
  /// The most bytes that one splice puts into a pipe.
  static constexpr std::size_t kPipeSize = 256U << 10;
  static constexpr std::size_t kMostPipes = 64;

  /// An empty pipe; none if too many are out or the kernel gives none.
  Pipe take() noexcept;
  /// Takes an empty pipe back.
  void give_back(Pipe pipe) noexcept;
  /// Closes a pipe that still has bytes.
  void discard(Pipe pipe) noexcept;

 private:
  std::vector<Pipe> idle_;
  std::size_t out_ = 0;
};

}  // namespace hostnet::relay
