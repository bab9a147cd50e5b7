// The multiplexed stream: split at every point, and damaged in every way.
#include "engine/stream.hpp"
#include "hostnet/error.hpp"
#include "support/text.hpp"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

using namespace hostnet;
using engine::Demultiplexer;
using engine::Stream;
using test::contains;

namespace {

std::string stream_frame(char stream, std::string_view payload) {
  std::string bytes{stream, '\0', '\0', '\0'};
  for (const unsigned shift : {24U, 16U, 8U, 0U}) bytes += static_cast<char>(payload.size() >> shift);
  return bytes.append(payload);
}

using Both = std::pair<std::string, std::string>;

Demultiplexer into(Both& both) {
  return Demultiplexer([&both](Stream stream, std::string_view piece) {
    CHECK_FALSE(piece.empty());
    (stream == Stream::out ? both.first : both.second) += piece;
  });
}

// Both outputs of a stream fed in these pieces.
Both output_of(const std::vector<std::string>& pieces) {
  Both both;
  auto stream = into(both);
  for (const auto& piece : pieces) stream.feed(piece);
  stream.finish();
  return both;
}

std::string stream_fault(const std::vector<std::string>& pieces) {
  try {
    output_of(pieces);
  } catch (const Error& error) {
    CHECK(error.code() == Errc::engine_error);
    return error.what();
  }
  return "accepted";
}

// Input echoed, an empty frame, and one longer than 255 bytes among the others.
const std::string kLong(300, 'l');
const std::string kStream = stream_frame(1, "one\n") + stream_frame(2, "two\n") + stream_frame(1, "") +
                            stream_frame(0, "in\n") + stream_frame(2, kLong) +
                            stream_frame(1, std::string("\0\1\2", 3));
const Both kBoth{"one\nin\n" + std::string("\0\1\2", 3), "two\n" + kLong};

}  // namespace

TEST_CASE("standard output and standard error are separated") {
  CHECK(output_of({kStream}) == kBoth);
  CHECK(output_of({}) == Both{});
  CHECK(output_of({stream_frame(2, "")}) == Both{});
}

TEST_CASE("the outputs are the same at every split") {
  for (std::size_t first = 0; first <= kStream.size(); ++first) {
    REQUIRE(output_of({kStream.substr(0, first), kStream.substr(first)}) == kBoth);
    for (std::size_t second = first; second <= kStream.size(); second += 7)
      REQUIRE(output_of({kStream.substr(0, first), kStream.substr(first, second - first),
                         kStream.substr(second)}) == kBoth);
  }
  std::vector<std::string> bytes;
  for (const char c : kStream) bytes.emplace_back(1, c);
  CHECK(output_of(bytes) == kBoth);
}

TEST_CASE("only an end between frames counts as complete") {
  const auto bytes = stream_frame(1, "one") + stream_frame(2, "two");
  for (std::size_t length = 0; length <= bytes.size(); ++length) {
    const bool between = length == 0 || length == bytes.size() / 2 || length == bytes.size();
    CHECK((stream_fault({bytes.substr(0, length)}) == "accepted") == between);
  }
  CHECK(contains(stream_fault({bytes.substr(0, 3)}), "ends within a frame"));
}

TEST_CASE("the largest length costs no memory: data is passed on as it arrives") {
  Both both;
  auto stream = into(both);
  stream.feed(std::string("\1\0\0\0\xff\xff\xff\xff", 8) + "abc");
  CHECK(both.first == "abc");
  stream.feed("def");
  CHECK(both.first == "abcdef");
  CHECK_THROWS_AS(stream.finish(), Error);
}

TEST_CASE("any other stream is refused at its first header") {
  CHECK(contains(stream_fault({"HTTP/1.1 200 OK\r\n"}), "begins with 48 54 54 50"));
  CHECK(contains(stream_fault({stream_frame(4, "x")}), "begins with 04 00 00 00"));
  for (const std::size_t at : {1U, 2U, 3U}) {
    auto bytes = stream_frame(1, "x");
    bytes[at] = '\1';
    CHECK(contains(stream_fault({bytes}), "makes no sense"));
  }
}

TEST_CASE("the engine's own failure in the stream becomes an error with its text") {
  CHECK(contains(stream_fault({stream_frame(1, "x") + stream_frame(3, "disk\non fire")}),
                 "its error: disk on fire"));
  const auto bytes = stream_frame(3, "disk on fire");
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut)
    CHECK(contains(stream_fault({bytes.substr(0, cut), bytes.substr(cut)}), "its error: disk on fire"));
  CHECK(stream_fault({stream_frame(3, std::string(1U << 20, 'x'))}).size() < 500);
  CHECK(contains(stream_fault({stream_frame(3, "")}), "its error"));
}

TEST_CASE("the sink's exception propagates") {
  Demultiplexer stream([](Stream, std::string_view) { throw std::out_of_range("enough"); });
  CHECK_THROWS_AS(stream.feed(stream_frame(1, "x")), std::out_of_range);
}
