// Docker's multiplexed stream, in which standard output and standard error of a process without a terminal
// share one connection (logs, exec): frames of an eight-byte header and so many bytes. The header is the
// stream's number, three zeros, and the length as a big-endian 32-bit number.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace hostnet::engine {

/// Which of the two a piece of a container's output belongs to.
enum class Stream : std::uint8_t { out = 1, err = 2 };
using OutputSink = std::function<void(Stream, std::string_view)>;

/// Takes the stream in pieces that are cut anywhere, and hands on what they carry at once: a frame is never
/// waited for, whatever length it announces. A plain value.
class Demultiplexer {
 public:
  explicit Demultiplexer(OutputSink sink) : sink_(std::move(sink)) {}

  /// @throws Error{engine_error} for what is no such stream, and with the engine's words when it reports a
  /// failure of its own in it; also what the sink throws. Of no use after that.
  void feed(std::string_view piece);
  /// To be called at the end. @throws Error{engine_error} when that is within a frame.
  void finish() const;

 private:
  void begin_frame();
  void end_frame() const;

  OutputSink sink_;
  std::array<unsigned char, 8> header_{};
  std::size_t header_bytes_ = 0;  // Of the header that is being read; all of them within a frame.
  std::uint32_t left_ = 0;        // Bytes to come of this frame.
  std::string failure_;           // The engine's own words, as far as they have come.
};

}  // namespace hostnet::engine
