// The walk over a message's arguments: messages within the limits pass, others stop at the first violation.
#include "daemon/message_bound.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

using namespace hostnet;
using namespace hostnet::daemon;

namespace {

// A body in little endian with D-Bus alignment.
class Body {
 public:
  Body& byte(std::uint8_t value) {
    bytes_.push_back(std::byte{value});
    return *this;
  }
  Body& pad(std::size_t alignment) {
    while (bytes_.size() % alignment != 0) byte(0);
    return *this;
  }
  Body& u16(unsigned value) { return pad(2).byte(value & 0xffU).byte(value >> 8U & 0xffU); }
  Body& u32(std::uint32_t value) { return pad(4).u16(value & 0xffffU).u16(value >> 16U); }
  Body& raw(std::string_view text) {
    for (const char c : text) byte(static_cast<std::uint8_t>(c));
    return byte(0);
  }
  Body& text(std::string_view text) { return u32(static_cast<std::uint32_t>(text.size())).raw(text); }
  Body& signature(std::string_view text) { return byte(static_cast<std::uint8_t>(text.size())).raw(text); }
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

const ArgumentLimits& limits_of(std::string_view member) {
  for (const auto& method : methods())
    if (method.member == member) return method.limits;
  FAIL("no such method");
  throw 0;
}

constexpr const char* kExpose = "ia(sqq)a{sv}";

// Expose(ifindex, ports, options) with that many ports and no option; its array claims `more` extra bytes.
Body expose(unsigned ports, std::uint32_t more = 0) {
  Body body;
  constexpr std::uint32_t size =
      12;  // of ("tcp", 80, 80), which is a multiple of four: the next begins at eight
  body.u32(7).u32(ports == 0 ? more : (ports - 1) * 16 + size + more).pad(8);
  for (unsigned i = 0; i < ports; ++i) body.pad(8).text("tcp").u16(80).u16(80);
  return body.u32(0).pad(8);
}

std::optional<std::string> walk_expose(const Body& body) {
  return walk(kExpose, body.bytes(), false, limits_of("Expose"));
}

}  // namespace

TEST_CASE("arguments within the limits pass") {
  CHECK(walk_expose(expose(0)) == std::nullopt);
  CHECK(walk_expose(expose(1)) == std::nullopt);
  CHECK(walk_expose(expose(1024)) == std::nullopt);
  CHECK(walk("", {}, false, limits_of("Release")) == std::nullopt);
  CHECK(walk("s", Body().text(std::string(255, 'x')).bytes(), false, {}) == std::nullopt);
}

TEST_CASE("too many, too long, too deep, too short, too much") {
  CHECK(walk_expose(expose(1025)) == "an array of more than 1024 elements");
  CHECK(walk("s", Body().text(std::string(256, 'x')).bytes(), false, {}) ==
        "a string of more than 255 bytes");
  CHECK(walk("s", Body().u32(3).byte('a').bytes(), false, {}) == "fewer bytes than arguments");
  CHECK(walk("s", Body().u32(1).byte('a').byte('b').bytes(), false, {}) ==
        "a string without a terminating NUL");
  CHECK(walk("i", Body().u32(1).u32(2).bytes(), false, {}) == "more bytes than arguments");
  CHECK(walk("i", Body().u16(1).bytes(), false, {}) == "fewer bytes than arguments");
  CHECK(walk("s", expose(200).bytes(), false, {.bytes = 1000}).value_or("").find("the limit of 1000") !=
        std::string::npos);
  const std::string many(17, 'y');
  Body bytes;
  for (int i = 0; i < 17; ++i) bytes.byte(1);
  CHECK(walk(many, bytes.bytes(), false, {}) == "more than 16 values");
}

TEST_CASE("an array's length is never trusted") {
  CHECK(walk_expose(expose(1, 0x7fffff00)) == "an array that is longer than its message");
  CHECK(walk_expose(expose(1, 1)));
  CHECK(walk_expose(expose(0, 8)));
}

TEST_CASE("nested variants are bounded, and hold one value each") {
  Body deep;
  for (int i = 0; i < 5; ++i) deep.signature("v");
  CHECK(walk("v", deep.signature("y").byte(1).bytes(), false, {}) == "more than 4 nested containers");
  CHECK(walk("v", Body().signature("yy").byte(1).byte(2).bytes(), false, {}) ==
        "a variant of more than one value");
  CHECK(walk("v", Body().signature("").bytes(), false, {}));
  CHECK(walk("v", Body().signature("a").bytes(), false, {}) == "an array without a type");
  CHECK(walk("v", Body().signature("(y").byte(1).bytes(), false, {}) == "a signature that ends too soon");
  CHECK(walk("v", Body().signature("z").byte(1).bytes(), false, {}) == "an unknown D-Bus type");
  // Elements of size zero would never consume the array.
  CHECK(walk("v", Body().signature("a()").u32(8).pad(8).u32(0).u32(0).bytes(), false,
             {.inner_elements = 3}) == "an array of more than 3 elements");
}

TEST_CASE("a method outside the table, other types and descriptors do not pass") {
  Preamble call;
  Fields fields;
  fields.interface = "org.freedesktop.DBus.Peer";
  fields.member = "Ping";
  CHECK_FALSE(judge_call(call, fields, {}));
  fields.descriptors = 1;
  CHECK(judge_call(call, fields, {})->text == "Ping accepts no file descriptors");
  fields.descriptors = 0;
  fields.signature = "s";
  CHECK(judge_call(call, fields, {})->text.find("takes arguments of types ''") != std::string::npos);
  fields.member = "Pong\x1b[2J";
  const auto unknown = judge_call(call, fields, {});
  REQUIRE(unknown);
  CHECK(unknown->error == std::string("org.freedesktop.DBus.Error.UnknownMethod"));
  CHECK(unknown->text.find('\x1b') == std::string::npos);
  fields.too_long = true;
  CHECK(judge_call(call, fields, {})->text == "a path or name of more than 255 bytes");
}

TEST_CASE("only signals of the bus pass") {
  Preamble signal;
  signal.type = MessageType::signal;
  Fields fields;
  fields.sender = ":1.7";
  CHECK_FALSE(judge_signal(signal, fields));
  fields.sender = "org.freedesktop.DBus";
  CHECK(judge_signal(signal, fields));
  signal.body_size = 5000;
  CHECK_FALSE(judge_signal(signal, fields));
}
