// Docker's multiplexed stream (logs, exec): standard output and standard error of a process without a
// terminal share one connection. It consists of frames:
//
//   byte 0      the stream's number: 0 input, 1 output, 2 error output, 3 the engine's own failure
//   bytes 1-3   zero
//   bytes 4-7   length of the payload, big-endian
//   then        the payload
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace hostnet::engine {

/// The stream of a piece of a container's output.
enum class Stream : std::uint8_t { out = 1, err = 2 };
using OutputSink = std::function<void(Stream, std::string_view)>;

/// Takes the stream in pieces of any size and passes the payload on at once: it never waits for a whole
/// frame, however long. A plain value.
class Demultiplexer {
 public:
  explicit Demultiplexer(OutputSink sink) : sink_(std::move(sink)) {}

  /// @throws Error{engine_error} for a malformed stream, and with the engine's message when the stream
  /// reports a failure of the engine; also what the sink throws. Do not use the object after that.
  void feed(std::string_view piece);
  /// Call at the end. @throws Error{engine_error} within a frame.
  void finish() const;

 private:
  void begin_frame();
  void end_frame() const;

  OutputSink sink_;
  std::array<unsigned char, 8> header_{};
  std::size_t header_bytes_ = 0;  // Header bytes read so far; all of them within a frame.
  std::uint32_t left_ = 0;        // Payload bytes of this frame still to come.
  std::string failure_;           // The engine's failure message so far.
};

}  // namespace hostnet::engine
