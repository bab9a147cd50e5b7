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

/// Whether a set's element is "*", which contains all that no other element does.
bool is_catch_all(json::View element);

/// One value of a packet, and how it compares with an element of a rule.
class Field {
 public:
  Field(json::View left, const Packet& packet);

  /// Whether the packet lacks this header: nft checks that first, so no comparison matches, negated or not.
  [[nodiscard]] bool is_absent() const { return kind_ == Kind::absent; }
  /// Whether it equals the element.
  [[nodiscard]] Truth is(json::View right) const;
  /// Of a bit mask (ct state, ct status, tcp flags): whether it has any of these bits. Else as is().
  [[nodiscard]] Truth has_any(json::View right) const;
  /// `maybe` for a value that is no port.
  [[nodiscard]] Truth is_port_between(std::uint64_t from, std::uint64_t to) const;

 private:
  enum class Kind : std::uint8_t { unknown, absent, interface, address, port, word, flags };
  using Words = std::vector<std::string_view>;

  void read(json::View left);
  void read_masked(json::View masked);
  void read_meta(const std::string& key);
  void read_ct(const std::string& key, const std::string& direction);
  void read_payload(const std::string& protocol, const std::string& field);
  void be_interface(bool there, std::string name);
  void be_address(Prefix prefix);
  void be_port(std::optional<std::uint16_t> port);
  void be_word(Words words, std::optional<std::uint64_t> number = std::nullopt);
  void be_flags(std::uint64_t flags);
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
  Words doubtful_;  ///< Bits that the packet may have besides words_.
  std::optional<std::uint64_t> number_;
  std::uint64_t flags_ = 0;
};

/// A key of one field, or of several ("iifname . tcp dport").
class Key {
 public:
  Key(json::View left, const Packet& packet);
  // As in Field.
  [[nodiscard]] bool is_absent() const;
  /// `yes` for "*", the element of a set that contains everything.
  [[nodiscard]] Truth is(json::View element) const;
  [[nodiscard]] Truth has_any(json::View right) const;
  /// `maybe` for a key that is no port.
  [[nodiscard]] Truth is_port_between(std::uint64_t from, std::uint64_t to) const;

 private:
  std::vector<Field> fields_;
};

}  // namespace hostnet::firewall
