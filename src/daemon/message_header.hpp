// The header of a D-Bus message as it lies on the wire, read within fixed limits.
//
// sd-bus offers a message only when all of it is in memory, which may be 128 MiB of any local user's. So what
// comes from the bus is read here first: 16 bytes tell how large a message is, and the fields who sent what.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace hostnet::daemon {

/// Bytes in their order. In memory (Bytes) or still in a socket (bus_gate.cpp).
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Whether there were as many.
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
  /// Fields without the padding after them.
  [[nodiscard]] std::size_t header_size() const noexcept { return (kSize + fields_size + 7) / 8 * 8; }
  [[nodiscard]] std::size_t size() const noexcept { return header_size() + body_size; }

  /// nullopt where no message can begin like this, by the specification's own limits. Pure.
  static std::optional<Preamble> parse(std::span<const std::byte, kSize> bytes);
};

/// What the fields say. Of a text that is too long to be any of ours nothing is kept.
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
  bool too_long = false;  ///< One of the texts was longer than kMaxText.

  /// Reads all of the fields and their padding, never more. nullopt where they are malformed, come twice, or
  /// where the source ends; then an unknown part of them has been read.
  static std::optional<Fields> read(const Preamble& preamble, ByteSource& source);
};

/// 32 bits in the order of bytes that a message has.
std::uint32_t load32(std::span<const std::byte, 4> bytes, bool big_endian) noexcept;

/// A complete error message that answers the call `reply_serial` of `destination`. Pure.
std::string error_message(std::uint32_t serial, std::uint32_t reply_serial, const std::string& destination,
                          const std::string& name, const std::string& text);

}  // namespace hostnet::daemon
