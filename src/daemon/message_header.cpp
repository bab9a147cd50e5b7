// Reads and writes headers as in the D-Bus specification, "Message Format".
#include "daemon/message_header.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace hostnet::daemon {
namespace {

constexpr std::uint32_t kMaxArray = 64U << 20;     // the specification's limit for an array
constexpr std::uint32_t kMaxMessage = 128U << 20;  // the specification's limit for a message
constexpr int kMaxFields = 64;                     // the specification defines ten

enum Field : std::uint8_t {
  kPath = 1,
  kInterface,
  kMember,
  kErrorName,
  kReplySerial,
  kDestination,
  kSender,
  kSignature,
  kDescriptors,
};

std::byte byte_of(char c) { return static_cast<std::byte>(c); }

// Counts bytes for the alignment and never reads beyond the fields.
class FieldReader {
 public:
  FieldReader(const Preamble& preamble, ByteSource& source)
      : source_(source), left_(preamble.fields_size), big_endian_(preamble.big_endian) {}

  [[nodiscard]] bool at_end() const noexcept { return left_ == 0; }

  bool align(std::size_t to) { return skip((to - position_ % to) % to); }
  bool skip(std::size_t count) { return take(count) && source_.skip(count); }
  bool number8(std::uint8_t& value) {
    std::array<std::byte, 1> bytes{};
    if (!take(1) || !source_.read(bytes)) return false;
    value = std::to_integer<std::uint8_t>(bytes[0]);
    return true;
  }
  bool number32(std::uint32_t& value) {
    std::array<std::byte, 4> bytes{};
    if (!align(4) || !take(4) || !source_.read(bytes)) return false;
    value = load32(bytes, big_endian_);
    return true;
  }
  // Reads `size` bytes and the NUL after them. Skips a text that is too long.
  bool text(std::size_t size, std::string& value, bool& too_long) {
    if (size > Fields::kMaxText) {
      too_long = true;
      return skip(size) && skip(1);
    }
    value.resize(size + 1);
    if (!take(size + 1) || !source_.read(std::as_writable_bytes(std::span(value)))) return false;
    const bool ended = value.back() == '\0' && value.find('\0') == size;
    value.pop_back();
    return ended;
  }

 private:
  bool take(std::size_t count) {
    if (count > left_) return false;
    left_ -= count;
    position_ += count;
    return true;
  }

  ByteSource& source_;
  std::size_t left_;
  std::size_t position_ = 0;  // relative to the fields, which begin at a multiple of 8
  bool big_endian_;
};

std::string* text_field(Fields& fields, std::uint8_t code) {
  switch (code) {
    case kPath:
      return &fields.path;
    case kInterface:
      return &fields.interface;
    case kMember:
      return &fields.member;
    case kDestination:
      return &fields.destination;
    case kSender:
      return &fields.sender;
    case kSignature:
      return &fields.signature;
    default:
      return nullptr;
  }
}

// Reads one field: code, signature and value. Basic types only: no known field has another.
bool read_field(FieldReader& reader, Fields& fields, std::uint16_t& seen) {
  std::uint8_t code = 0;
  std::uint8_t signature_size = 0;
  std::string type;
  bool unused = false;
  if (!reader.align(8) || !reader.number8(code) || !reader.number8(signature_size) || signature_size != 1 ||
      !reader.text(1, type, unused))
    return false;
  if (code >= kPath && code <= kDescriptors) {
    const auto bit = static_cast<std::uint16_t>(1U << code);
    if ((seen & bit) != 0) return false;
    seen |= bit;
  }
  std::string discarded;
  std::string* const known = text_field(fields, code);
  auto& into = known != nullptr ? *known : discarded;
  std::uint32_t number = 0;
  std::uint8_t small = 0;
  switch (type[0]) {
    case 's':
    case 'o':
      return reader.number32(number) && reader.text(number, into, fields.too_long);
    case 'g':
      return reader.number8(small) && reader.text(small, into, fields.too_long);
    case 'u':
      if (!reader.number32(number)) return false;
      if (code == kReplySerial) fields.reply_serial = number;
      if (code == kDescriptors) fields.descriptors = number;
      return true;
    case 'y':
      return reader.skip(1);
    case 'n':
    case 'q':
      return reader.align(2) && reader.skip(2);
    case 'b':
    case 'i':
    case 'h':
      return reader.align(4) && reader.skip(4);
    case 'x':
    case 't':
    case 'd':
      return reader.align(8) && reader.skip(8);
    default:
      return false;
  }
}

// Appends in this machine's byte order.
class Appender {
 public:
  void raw(char c) { out_ += c; }
  void align(std::size_t to) { out_.append((to - out_.size() % to) % to, '\0'); }
  void number32(std::uint32_t value) {
    align(4);
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void text(const std::string& value) {
    number32(static_cast<std::uint32_t>(value.size()));
    out_ += value;
    out_ += '\0';
  }
  void field(Field code, char type) {
    align(8);
    out_ += static_cast<char>(code);
    signature(type);
  }
  void signature(char type) {
    out_ += '\1';
    out_ += type;
    out_ += '\0';
  }
  std::string out_;
};

}  // namespace

bool Bytes::read(std::span<std::byte> into) {
  if (into.size() > left_.size()) return false;
  std::ranges::copy(left_.first(into.size()), into.begin());
  left_ = left_.subspan(into.size());
  return true;
}

bool Bytes::skip(std::size_t count) {
  if (count > left_.size()) return false;
  left_ = left_.subspan(count);
  return true;
}

std::uint32_t load32(std::span<const std::byte, 4> bytes, bool big_endian) noexcept {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes.data(), sizeof value);
  return big_endian == (std::endian::native == std::endian::big) ? value : __builtin_bswap32(value);
}

std::optional<Preamble> Preamble::parse(std::span<const std::byte, kSize> bytes) {
  Preamble preamble;
  if (bytes[0] != byte_of('l') && bytes[0] != byte_of('B')) return std::nullopt;
  preamble.big_endian = bytes[0] == byte_of('B');
  const auto type = std::to_integer<std::uint8_t>(bytes[1]);
  preamble.type = static_cast<MessageType>(type);
  preamble.flags = std::to_integer<std::uint8_t>(bytes[2]);
  preamble.body_size = load32(bytes.subspan<4, 4>(), preamble.big_endian);
  preamble.serial = load32(bytes.subspan<8, 4>(), preamble.big_endian);
  preamble.fields_size = load32(bytes.subspan<12, 4>(), preamble.big_endian);
  const bool possible = type != 0 && bytes[3] == std::byte{1} && preamble.serial != 0 &&
                        preamble.fields_size <= kMaxArray && preamble.body_size <= kMaxMessage &&
                        preamble.size() <= kMaxMessage;
  return possible ? std::optional(preamble) : std::nullopt;
}

std::optional<Fields> Fields::read(const Preamble& preamble, ByteSource& source) {
  Fields fields;
  FieldReader reader(preamble, source);
  std::uint16_t seen = 0;
  for (int count = 0; !reader.at_end(); ++count)
    if (count == kMaxFields || !read_field(reader, fields, seen)) return std::nullopt;
  if (!source.skip(preamble.header_size() - Preamble::kSize - preamble.fields_size)) return std::nullopt;
  return fields;
}

std::string error_message(std::uint32_t serial, std::uint32_t reply_serial, const std::string& destination,
                          const std::string& name, const std::string& text) {
  Appender body;
  body.text(text);
  Appender fields;
  fields.field(kReplySerial, 'u');
  fields.number32(reply_serial);
  if (!destination.empty()) {
    fields.field(kDestination, 's');
    fields.text(destination);
  }
  fields.field(kErrorName, 's');
  fields.text(name);
  fields.field(kSignature, 'g');
  fields.signature('s');
  Appender whole;
  whole.raw(std::endian::native == std::endian::big ? 'B' : 'l');
  whole.raw(static_cast<char>(MessageType::error));
  whole.raw('\1');  // no reply is expected
  whole.raw('\1');  // version of the protocol
  whole.number32(static_cast<std::uint32_t>(body.out_.size()));
  whole.number32(serial);
  whole.number32(static_cast<std::uint32_t>(fields.out_.size()));
  whole.out_ += fields.out_;
  whole.align(8);
  return whole.out_ + body.out_;
}

}  // namespace hostnet::daemon
