// Reads JSON with strict types. Every complaint names the field; the reader's user chooses the type of error.
#pragma once

#include "core/json.hpp"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hostnet::json {

/// Throws an error for a fault such as "a.b is missing". It must throw.
using Complain = void (*)(const std::string& what);

/// A parsed text, and the function that throws its errors.
struct Document {
  Value root;
  Complain complain = nullptr;
};

/// parse(), but calls `complain` for an unreadable text. @throws Error{timed_out} at the deadline.
Document read(std::string_view text, const Limits& limits, Complain complain);

/// A value and its path. Refers to the Document, which must outlive it. Every member function complains, with
/// that path, about a value that is missing or has the wrong type.
class Reader {
 public:
  explicit Reader(const Document& document) : value_(document.root.view()), complain_(document.complain) {}
  explicit Reader(Document&&) = delete;

  /// A required member.
  [[nodiscard]] Reader at(std::string_view key) const;
  /// An optional member; nullopt when it is absent or null (Go writes null for an empty list or map).
  [[nodiscard]] std::optional<Reader> maybe(std::string_view key) const;
  /// Whether there is a member of that name, even if it is null.
  [[nodiscard]] bool contains(std::string_view key) const;

  [[nodiscard]] std::string string() const;
  [[nodiscard]] bool boolean() const;
  [[nodiscard]] std::int64_t integer(std::int64_t min, std::int64_t max) const;
  /// A whole number in the type's range.
  template <std::integral Number>
  [[nodiscard]] Number number() const {
    using Limit = std::numeric_limits<Number>;
    if constexpr (std::unsigned_integral<Number>)
      return static_cast<Number>(natural(Limit::max()));
    else
      return static_cast<Number>(integer(Limit::min(), Limit::max()));
  }
  /// A list of strings.
  [[nodiscard]] std::vector<std::string> strings() const;

  /// A string member; empty when it is absent or null.
  [[nodiscard]] std::string string_or_empty(std::string_view key) const;
  /// A member that is an object of strings; empty when it is absent or null.
  [[nodiscard]] std::map<std::string, std::string> strings_or_empty(std::string_view key) const;

  /// Calls visit(reader) for each element of an array.
  template <class Visit>
  void each_element(Visit visit) const {
    const auto count = list_size();
    for (std::size_t index = 0; index < count; ++index) visit(element(index));
  }

  /// Calls visit(key, reader) for each member of an object, sorted by key.
  template <class Visit>
  void each_member(Visit visit) const {
    for (const auto& [key, value] : members()) visit(std::string(key), Reader(value, below(key), complain_));
  }

  [[nodiscard]] bool is_array() const { return value_.is_list(); }

  /// For a value of the right type but with invalid content: complains "<path> is <found>, not <wanted>".
  [[noreturn]] void reject(std::string_view found, std::string_view wanted) const;

 private:
  Reader(View value, std::string path, Complain complain)
      : value_(value), path_(std::move(path)), complain_(complain) {}

  [[noreturn]] void fail(const std::string& what) const;
  void expect(bool right, std::string_view wanted) const;
  [[nodiscard]] std::uint64_t natural(std::uint64_t max) const;
  [[nodiscard]] std::size_t list_size() const;
  [[nodiscard]] Reader element(std::size_t index) const;
  [[nodiscard]] std::vector<std::pair<std::string_view, View>> members() const;
  [[nodiscard]] std::string below(std::string_view key) const;

  View value_;
  std::string path_;
  Complain complain_;
};

}  // namespace hostnet::json
