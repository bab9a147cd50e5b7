// Reading of an engine's JSON with strict types: every complaint names the field, and nlohmann's exceptions
// stay in.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace hostnet::engine {

/// Deeper than any answer of an engine, shallow enough that a hostile one costs nothing.
inline constexpr int kDeepestNesting = 64;

/// A JSON text as a tree. @throws Error{engine_error} for what is not JSON or is nested too deeply.
nlohmann::json parse_json(std::string_view text);

/// A value in that tree together with its path. Refers to the tree, which must outlive it. Every member
/// throws Error{engine_error} with the path of the value that is missing or has the wrong type.
class JsonReader {
 public:
  explicit JsonReader(const nlohmann::json& root) : value_(&root) {}

  /// A member that must be there.
  [[nodiscard]] JsonReader at(std::string_view key) const;
  /// A member that may be absent or null (Go writes null for an empty list or map): nullopt then.
  [[nodiscard]] std::optional<JsonReader> maybe(std::string_view key) const;

  [[nodiscard]] std::string string() const;
  [[nodiscard]] bool boolean() const;
  [[nodiscard]] std::int64_t integer(std::int64_t min, std::int64_t max) const;

  /// A member that is a string; empty where it is absent or null.
  [[nodiscard]] std::string string_or_empty(std::string_view key) const;
  /// A member that is an object of strings; empty where it is absent or null.
  [[nodiscard]] std::map<std::string, std::string> strings_or_empty(std::string_view key) const;

  /// Calls visit(reader) for each element of an array.
  template <class Visit>
  void each_element(Visit visit) const {
    expect(value_->is_array(), "a list");
    std::size_t index = 0;
    for (const auto& element : *value_)
      visit(JsonReader(element, path_ + "[" + std::to_string(index++) + "]"));
  }

  /// Calls visit(key, reader) for each member of an object, sorted by key.
  template <class Visit>
  void each_member(Visit visit) const {
    expect(value_->is_object(), "an object");
    for (const auto& member : value_->items())
      visit(member.key(), JsonReader(member.value(), below(member.key())));
  }

  [[nodiscard]] bool is_array() const { return value_->is_array(); }

  /// For a value of the right type that makes no sense: throws "<path> is <found>, not <wanted>".
  [[noreturn]] void reject(std::string_view found, std::string_view wanted) const;

 private:
  JsonReader(const nlohmann::json& value, std::string path) : value_(&value), path_(std::move(path)) {}

  void expect(bool right, std::string_view wanted) const;
  [[nodiscard]] std::string below(std::string_view key) const;

  const nlohmann::json* value_;
  std::string path_;
};

}  // namespace hostnet::engine
