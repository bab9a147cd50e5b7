// Reads the header of a D-Bus message from the wire, within fixed limits.
//
// sd-bus presents a message only when all of it is in memory, and any local user may send 128 MiB. So the
// gate reads the header first: 16 bytes give the message's size, the fields give its sender and method.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace hostnet::daemon {

/// A sequence of bytes, in memory (Bytes) or still in a socket (bus_gate.cpp).
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Returns false when the source has fewer bytes.
  virtual bool read(std::span<std::byte> into) = 0;
  virtual bool skip(std::size_t count) = 0;
};

class Bytes final : public ByteSource {
 public:
  explicit Bytes(std::span<const std::byte> bytes) : left_(bytes) {}
  bool read(std::span<std::byte> into) override;
  bool skip(std::size_t count) override;

 private:
  std::span<const std::byte> left_;
};

enum class MessageType : std::uint8_t { call = 1, reply = 2, error = 3, signal = 4 };

/// The fixed part of a header.
struct Preamble {
  static constexpr std::size_t kSize = 16;

  bool big_endian = false;
  MessageType type = MessageType::call;
  std::uint8_t flags = 0;
  std::uint32_t body_size = 0;
  std::uint32_t serial = 0;
  std::uint32_t fields_size = 0;

  [[nodiscard]] bool expects_reply() const noexcept { return type == MessageType::call && (flags & 1) == 0; }
  /// Includes the padding after the fields.
  [[nodiscard]] std::size_t header_size() const noexcept { return (kSize + fields_size + 7) / 8 * 8; }
  [[nodiscard]] std::size_t size() const noexcept { return header_size() + body_size; }

  /// nullopt when no valid message begins like this, by the specification's own limits. Pure.
  static std::optional<Preamble> parse(std::span<const std::byte, kSize> bytes);
};

/// The values of the fields. A text longer than any of ours is discarded.
struct Fields {
  static constexpr std::size_t kMaxText = 255;

  std::string path;
  std::string interface;
  std::string member;
  std::string destination;
  std::string sender;
  std::string signature;
  std::uint32_t reply_serial = 0;
  std::uint32_t descriptors = 0;
  bool too_long = false;  ///< A text was longer than kMaxText.

  /// Reads all fields and their padding, and nothing beyond. nullopt when a field is malformed or repeated,
  /// or the source ends; an unspecified part of the fields has then been read.
  static std::optional<Fields> read(const Preamble& preamble, ByteSource& source);
};

/// 32 bits in the message's byte order.
std::uint32_t load32(std::span<const std::byte, 4> bytes, bool big_endian) noexcept;

/// A complete error message that answers call `reply_serial` of `destination`. Pure.
std::string error_message(std::uint32_t serial, std::uint32_t reply_serial, const std::string& destination,
                          const std::string& name, const std::string& text);

}  // namespace hostnet::daemon
