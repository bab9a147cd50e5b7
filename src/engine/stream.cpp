// The state machine: header, payload, header, …
#include "engine/stream.hpp"

#include "engine/parse.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hostnet::engine {
namespace {

// The first byte of a header. We send no input in this stream; an engine that echoes input marks it so, and
// it counts as output.
enum : unsigned char { kInput = 0, kOutput = 1, kErrorOutput = 2, kEngineFailure = 3 };

constexpr std::size_t kLongestFailure = 400;

}  // namespace

void Demultiplexer::feed(std::string_view piece) {
  while (!piece.empty()) {
    if (header_bytes_ < header_.size()) {
      header_[header_bytes_++] = static_cast<unsigned char>(piece.front());
      piece.remove_prefix(1);
      if (header_bytes_ == header_.size()) begin_frame();
    } else {
      const auto payload = piece.substr(0, left_);
      if (header_[0] == kEngineFailure) {
        failure_ += payload.substr(0, kLongestFailure - std::min(kLongestFailure, failure_.size()));
      } else {
        sink_(header_[0] == kErrorOutput ? Stream::err : Stream::out, payload);
      }
      left_ -= static_cast<std::uint32_t>(payload.size());
      piece.remove_prefix(payload.size());
    }
    if (header_bytes_ == header_.size() && left_ == 0) {
      end_frame();
      header_bytes_ = 0;
    }
  }
}

void Demultiplexer::begin_frame() {
  if (header_[0] > kEngineFailure || header_[1] != 0 || header_[2] != 0 || header_[3] != 0)
    throw Error(Errc::engine_error, fmt::format("the engine's stream makes no sense: a header begins with "
                                                "{:02x} {:02x} {:02x} {:02x}",
                                                header_[0], header_[1], header_[2], header_[3]));
  left_ = 0;
  for (std::size_t i = 4; i < header_.size(); ++i) left_ = (left_ << 8U) | header_[i];
}

void Demultiplexer::end_frame() const {
  if (header_[0] == kEngineFailure)
    throw Error(Errc::engine_error, fmt::format("the engine's stream ends with its error: {}",
                                                one_line(failure_, kLongestFailure)));
}

void Demultiplexer::finish() const {
  if (header_bytes_ != 0) throw Error(Errc::engine_error, "the engine's stream ends within a frame");
}

}  // namespace hostnet::engine
