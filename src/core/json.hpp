// JSON in and out, and the only face of nlohmann's library that the rest of the project sees: its header
// costs a compiler more than all of a usual source here, its objects in braces some seconds each.
//
// Writing: a Value is built from braces ({{"id", id}, {"ports", std::move(ports)}}) and written in one line,
// its members sorted by name. Reading: parse() with limits, because the text may be anybody's; then a View,
// which asks and never complains, or a Reader (json_reader.hpp), which names the field in each complaint.
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

/// What a member or an element is set to. Refers to its source, hence only for arguments of calls, where the
/// source lives to the end of the whole expression. Trivial to destroy, so that a list of them in braces is
/// cheap to compile.
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
  /// The value is moved from.
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

/// A value within a Value, to be set or added to. Valid until the list or object around it grows.
class Place {
 public:
  explicit Place(nlohmann::json& at) : at_(&at) {}
  Place(const Place&) = default;
  Place& operator=(const Place&) = delete;

  /// Null becomes an object first; a member that is missing becomes null. Only for an object or null.
  Place operator[](std::string_view name) const;
  /// Only for a list that has this element.
  Place operator[](std::size_t index) const;
  void operator=(const Item& item) const;
  /// Null becomes a list first. Only for a list or null.
  void push_back(const Item& item) const;

 private:
  nlohmann::json* at_;
};

/// A value that is only looked at: no call here throws for what it is, and what is not there is a View of
/// nothing. Refers to the Value around it, which must outlive it unchanged.
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

  /// Of an object; nothing where it has no such member, and of what is no object.
  [[nodiscard]] View find(std::string_view name) const;
  /// How many elements a list has; 0 for anything else.
  [[nodiscard]] std::size_t size() const;
  /// Of a list; nothing beyond its end, and of what is no list.
  [[nodiscard]] View operator[](std::size_t index) const;
  /// Those of a list, none of anything else.
  [[nodiscard]] std::vector<View> elements() const;
  /// Those of an object, sorted by name; none of anything else.
  [[nodiscard]] std::vector<std::pair<std::string_view, View>> members() const;

  /// The text, unless it is none; a view into the Value.
  [[nodiscard]] std::optional<std::string_view> text() const;
  [[nodiscard]] std::optional<bool> flag() const;
  /// A whole number in range; nullopt also for 1.0.
  [[nodiscard]] std::optional<std::int64_t> integer() const;
  [[nodiscard]] std::optional<std::uint64_t> natural() const;
  /// Any number; what is none gives nullopt.
  [[nodiscard]] std::optional<double> real() const;

  /// As Value::dump(); "" for nothing.
  [[nodiscard]] std::string dump() const;

 private:
  const nlohmann::json* at_ = nullptr;
};

/// An own value of any type. Null until it is set, and after it was moved from. Not thread-safe.
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

  /// As Place's.
  Place operator[](std::string_view name);
  Place operator[](std::size_t index);
  void push_back(const Item& item);

  [[nodiscard]] View view() const&;
  View view() const&& = delete;
  [[nodiscard]] bool empty() const;
  [[nodiscard]] std::size_t size() const;

  /// One line, members sorted by name. What is not UTF-8 becomes U+FFFD: labels and processes' names may hold
  /// it.
  [[nodiscard]] std::string dump() const;
  /// The same over lines, each level one blank further in.
  [[nodiscard]] std::string dump_in_lines() const;
  /// As dump(); nullopt for text that is not UTF-8.
  [[nodiscard]] std::optional<std::string> dump_exact() const;

  /// Whether they have the same type and contents, whatever the order of members.
  bool operator==(const Value& other) const;

  /// For what reads and writes it, in json.cpp.
  [[nodiscard]] const nlohmann::json& tree() const;
  [[nodiscard]] nlohmann::json& tree();

 private:
  std::unique_ptr<nlohmann::json> tree_;
};

/// [] and {}; a list of these.
Value array();
Value array(std::initializer_list<Item> elements);
Value object();

/// What parse() takes on.
struct Limits {
  int depth = 64;                ///< Of lists and objects in each other.
  std::size_t values = 500'000;  ///< Of all types. One takes up to a hundred bytes of memory.
  Deadline deadline = Deadline::never();
};

/// What parse() says of a text that it does not take: "not JSON (…)", "nested deeper than 64 levels".
struct Unreadable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The text as a tree, in time linear to its length. Of members of the same name the last one counts.
/// @throws Unreadable for what is not JSON, is not UTF-8, or exceeds the limits; Error{timed_out} at the
/// deadline.
Value parse(std::string_view text, const Limits& limits = {});

}  // namespace hostnet::json
