// JSON in and out. The rest of the project uses nlohmann's library only through this header: nlohmann's own
// header takes longer to compile than a usual source file here, and its braced objects some seconds each.
//
// Writing: build a Value from braces ({{"id", id}, {"ports", std::move(ports)}}); dump() writes it on one
// line with its members sorted by name. Reading: parse() with limits, because the text is untrusted; then a
// View, which never throws, or a Reader (json_reader.hpp), which names the field in each error.
#pragma once

#include "core/deadline.hpp"

#include <nlohmann/json_fwd.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace hostnet::json {

class Value;
struct Member;

/// The source of a member's or element's value. It refers to that source: use it only as an argument of a
/// call, where the source lives to the end of the full expression. Trivially destructible, so that a braced
/// list of items compiles fast.
class Item {
 public:
  using Strings = std::vector<std::string>;
  using StringMap = std::map<std::string, std::string>;
  using Source =
      std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string_view, const Value*,
                   Value*, std::initializer_list<Member>, const Strings*, const StringMap*>;

  Item(std::nullptr_t) : source_(nullptr) {}
  Item(std::same_as<bool> auto flag) : source_(flag) {}
  template <std::signed_integral Number>
  Item(Number number) : source_(std::int64_t{number}) {}
  template <std::unsigned_integral Number>
  requires(!std::same_as<Number, bool>) Item(Number number) : source_(std::uint64_t{number}) {}
  Item(double number) : source_(number) {}
  Item(const char* text) : source_(std::string_view(text)) {}
  Item(std::string_view text) : source_(text) {}
  Item(const std::string& text) : source_(std::string_view(text)) {}
  Item(const Value& value) : source_(&value) {}
  /// Moves from the value.
  Item(Value&& value) : source_(&value) {}
  /// An object.
  Item(std::initializer_list<Member> members) : source_(members) {}
  Item(const Strings& list) : source_(&list) {}
  Item(const StringMap& members) : source_(&members) {}
  /// Null for nullopt.
  template <class Inner>
  Item(const std::optional<Inner>& maybe) : Item(maybe ? Item(*maybe) : Item(nullptr)) {}

  [[nodiscard]] const Source& source() const { return source_; }

 private:
  Source source_;
};

struct Member {
  std::string_view name;
  Item item;
};

/// A writable value within a Value. Valid until the list or object around it grows.
class Place {
 public:
  explicit Place(nlohmann::json& at) : at_(&at) {}
  Place(const Place&) = default;
  Place& operator=(const Place&) = delete;

  /// Turns null into an object, and adds a missing member as null. Only for an object or null.
  Place operator[](std::string_view name) const;
  /// Only for a list that has this element.
  Place operator[](std::size_t index) const;
  void operator=(const Item& item) const;
  /// Turns null into a list. Only for a list or null.
  void push_back(const Item& item) const;

 private:
  nlohmann::json* at_;
};

/// A read-only value. No call throws because of its type, and a missing value is a View of nothing. Refers to
/// the Value around it, which must outlive it unchanged.
class View {
 public:
  View() = default;
  explicit View(const nlohmann::json* at) : at_(at) {}

  [[nodiscard]] bool is_there() const { return at_ != nullptr; }
  [[nodiscard]] bool is_null() const;
  [[nodiscard]] bool is_object() const;
  [[nodiscard]] bool is_list() const;
  /// "null", "boolean", "number", "string", "array", "object"
  [[nodiscard]] const char* type_name() const;

  /// An object's member; nothing if it is missing or this is not an object.
  [[nodiscard]] View find(std::string_view name) const;
  /// The number of a list's elements; 0 for anything else.
  [[nodiscard]] std::size_t size() const;
  /// A list's element; nothing beyond its end or if this is not a list.
  [[nodiscard]] View operator[](std::size_t index) const;
  /// A list's elements; none for anything else.
  [[nodiscard]] std::vector<View> elements() const;
  /// An object's members, sorted by name; none for anything else.
  [[nodiscard]] std::vector<std::pair<std::string_view, View>> members() const;

  /// A string's text, as a view into the Value; nullopt for anything else.
  [[nodiscard]] std::optional<std::string_view> text() const;
  [[nodiscard]] std::optional<bool> flag() const;
  /// A whole number in range; nullopt also for 1.0.
  [[nodiscard]] std::optional<std::int64_t> integer() const;
  [[nodiscard]] std::optional<std::uint64_t> natural() const;
  /// Any number; nullopt for anything else.
  [[nodiscard]] std::optional<double> real() const;

  /// As Value::dump(); "" for nothing.
  [[nodiscard]] std::string dump() const;

 private:
  const nlohmann::json* at_ = nullptr;
};

/// Owns a value of any type. Null until it is set and after it was moved from. Not thread-safe.
class Value {
 public:
  Value() noexcept;
  Value(const Item& item);
  /// An object.
  Value(std::initializer_list<Member> members);
  explicit Value(nlohmann::json tree);
  Value(const Value& other);
  Value(Value&& other) noexcept;
  Value& operator=(const Value& other);
  Value& operator=(Value&& other) noexcept;
  ~Value();

  /// As in Place.
  Place operator[](std::string_view name);
  Place operator[](std::size_t index);
  void push_back(const Item& item);

  [[nodiscard]] View view() const&;
  View view() const&& = delete;
  [[nodiscard]] bool empty() const;
  [[nodiscard]] std::size_t size() const;

  /// One line, members sorted by name. Bytes that are not UTF-8 become U+FFFD: labels and names of processes
  /// may contain them.
  [[nodiscard]] std::string dump() const;
  /// The same on several lines, indented by one blank per level.
  [[nodiscard]] std::string dump_in_lines() const;
  /// As dump(), but nullopt for text that is not UTF-8.
  [[nodiscard]] std::optional<std::string> dump_exact() const;

  /// Same type and contents; the order of members does not matter.
  bool operator==(const Value& other) const;

  /// Only for json.cpp.
  [[nodiscard]] const nlohmann::json& tree() const;
  [[nodiscard]] nlohmann::json& tree();

 private:
  std::unique_ptr<nlohmann::json> tree_;
};

/// An empty list, a list of these elements, an empty object.
Value array();
Value array(std::initializer_list<Item> elements);
Value object();

/// Limits of parse().
struct Limits {
  int depth = 64;                ///< Nesting of lists and objects.
  std::size_t values = 500'000;  ///< Of all types; each takes up to a hundred bytes of memory.
  Deadline deadline = Deadline::never();
};

/// A text that parse() rejects: "not JSON (…)", "nested deeper than 64 levels".
struct Unreadable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Parses a text in time linear to its length. Of members with the same name the last one counts.
/// @throws Unreadable for text that is not JSON, is not UTF-8, or exceeds the limits; Error{timed_out} at the
/// deadline.
Value parse(std::string_view text, const Limits& limits = {});

}  // namespace hostnet::json
