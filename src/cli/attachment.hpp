// The streams of a container in place of this process's own, for `run --image`.
#pragma once

#include "core/fd.hpp"
#include "engine/address.hpp"
#include "engine/stream.hpp"
#include "hostnet/error.hpp"

#include <future>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

namespace hostnet::cli {

/// Carries standard input, the output, or both, byte for byte. Make it before the container starts, so that nothing
/// is lost. Its thread has its own engine connection, holds no lock, and ends with the container or with this object.
class Attachment {
 public:
  struct Settings {
    engine::Address engine;
    std::string container;
    bool input = false;
    bool output = false;
    bool tty = false;  ///< The container has a terminal.
  };

  /// Returns once it is attached. @throws Error as engine::Containers::attach().
  explicit Attachment(Settings settings);
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;
  /// Drops what is not written yet.
  ~Attachment();

  /// Readable once it is over: the container has ended and all its output is written, or that cannot be carried on.
  [[nodiscard]] int fd() const noexcept { return ended_.get(); }
  /// Call once fd() is readable. @throws Error if the output could not be written, with write(2)'s errno.
  void raise();

 private:
  void carry();
  void put(engine::Stream stream, std::string_view piece);

  Settings settings_;
  Fd stop_;
  Fd ended_;
  std::promise<void> ready_;
  std::optional<Error> unwritten_;
  std::jthread thread_;  // last: the thread uses the members above
};

}  // namespace hostnet::cli
