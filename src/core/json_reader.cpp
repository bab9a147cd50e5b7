// The strict reader.
#include "core/json_reader.hpp"

#include "core/strings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>

namespace hostnet::json {
namespace {

// Hot: called for every character of every key.
constexpr bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '-';
}

// Appends a key in displayable form: an engine passes on names that users chose.
void append_shown(std::string& path, std::string_view key) {
  if (key.size() <= 80 && std::ranges::all_of(key, is_plain))
    path += key;
  else
    path += quote(key);
}

}  // namespace

Document read(std::string_view text, const Limits& limits, Complain complain) {
  std::string what;
  try {
    return {parse(text, limits), complain};
  } catch (const Unreadable& fault) {
    what = fault.what();
  }
  complain(what);
  std::terminate();  // a Complain throws
}

Reader Reader::at(std::string_view key) const {
  if (auto member = maybe(key)) return *member;
  fail(below(key) + " is missing");
}

std::optional<Reader> Reader::maybe(std::string_view key) const {
  expect(value_.is_object(), "an object");
  const auto member = value_.find(key);
  if (!member.is_there() || member.is_null()) return std::nullopt;
  return Reader(member, below(key), complain_);
}

bool Reader::contains(std::string_view key) const {
  expect(value_.is_object(), "an object");
  return value_.find(key).is_there();
}

std::string Reader::string() const {
  const auto text = value_.text();
  expect(text.has_value(), "a string");
  return std::string(*text);
}

bool Reader::boolean() const {
  const auto flag = value_.flag();
  expect(flag.has_value(), "true or false");
  return *flag;
}

std::int64_t Reader::integer(std::int64_t min, std::int64_t max) const {
  const auto number = value_.integer();
  expect(number.has_value() || value_.natural().has_value(), "a whole number");
  if (!number || *number < min || *number > max)
    reject(value_.dump(), fmt::format("a whole number from {} to {}", min, max));
  return *number;
}

std::uint64_t Reader::natural(std::uint64_t max) const {
  const auto number = value_.natural();
  expect(number.has_value() || value_.integer().has_value(), "a whole number");
  if (!number || *number > max) reject(value_.dump(), fmt::format("a whole number from 0 to {}", max));
  return *number;
}

std::vector<std::string> Reader::strings() const {
  std::vector<std::string> out;
  each_element([&](const Reader& element) { out.push_back(element.string()); });
  return out;
}

std::string Reader::string_or_empty(std::string_view key) const {
  const auto member = maybe(key);
  return member ? member->string() : std::string{};
}

std::map<std::string, std::string> Reader::strings_or_empty(std::string_view key) const {
  std::map<std::string, std::string> strings;
  if (const auto member = maybe(key))
    member->each_member(
        [&](const std::string& name, const Reader& value) { strings.emplace(name, value.string()); });
  return strings;
}

void Reader::reject(std::string_view found, std::string_view wanted) const {
  fail(fmt::format("{} is {}, not {}", path_.empty() ? "the document" : path_, found, wanted));
}

void Reader::fail(const std::string& what) const {
  complain_(what);
  std::terminate();  // a Complain throws
}

void Reader::expect(bool right, std::string_view wanted) const {
  if (!right) reject(fmt::format("of type {}", value_.type_name()), wanted);
}

std::size_t Reader::list_size() const {
  expect(value_.is_list(), "a list");
  return value_.size();
}

Reader Reader::element(std::size_t index) const {
  return Reader(value_[index], fmt::format("{}[{}]", path_, index), complain_);
}

std::vector<std::pair<std::string_view, View>> Reader::members() const {
  expect(value_.is_object(), "an object");
  return value_.members();
}

std::string Reader::below(std::string_view key) const {
  std::string path;
  path.reserve(path_.size() + 1 + std::min<std::size_t>(key.size(), 100));
  path = path_;
  if (!path.empty()) path += '.';
  append_shown(path, key);
  return path;
}

}  // namespace hostnet::json
