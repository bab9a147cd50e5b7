// The left side of a match in nft's JSON (libnftables-json(5)): the values of a packet that a rule compares.
// Pure.
#pragma once

#include "core/json.hpp"
#include "firewall/packet.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::firewall {

/// A member that is text; empty if there is none.
std::string text_at(json::View object, std::string_view name);

/// One value of a packet, and how it compares with an element of a rule.
class Field {
 public:
  Field(json::View left, const Packet& packet);

  [[nodiscard]] Truth is(json::View right) const;
  /// `maybe` for a value that is no port.
  [[nodiscard]] Truth is_port_between(std::uint64_t from, std::uint64_t to) const;

 private:
  enum class Kind : std::uint8_t { unknown, never, interface, address, port, word };
  using Words = std::vector<std::string_view>;

  void read(json::View left);
  void read_meta(const std::string& key);
  void read_ct(const std::string& key, const std::string& direction);
  void read_payload(const std::string& protocol, const std::string& field);
  void be_interface(bool there, std::string name);
  void be_address(Prefix prefix);
  void be_port(std::optional<std::uint16_t> port);
  void be_word(Words words, std::optional<std::uint64_t> number = std::nullopt);
  void be_protocol();
  [[nodiscard]] Truth is_address(json::View right) const;
  [[nodiscard]] Truth is_port(json::View right) const;
  [[nodiscard]] Truth is_word(json::View right) const;

  const Packet& packet_;
  Kind kind_ = Kind::unknown;
  bool there_ = false;
  std::string interface_;
  Prefix address_;
  std::optional<std::uint16_t> port_;
  Words words_;
  Words doubtful_;
  std::optional<std::uint64_t> number_;
};

/// A key of one field, or of several ("iifname . tcp dport").
class Key {
 public:
  Key(json::View left, const Packet& packet);
  [[nodiscard]] Truth is(json::View right) const;
  /// `maybe` for a key that is no port.
  [[nodiscard]] Truth is_port_between(std::uint64_t from, std::uint64_t to) const;

 private:
  std::vector<Field> fields_;
};

}  // namespace hostnet::firewall
