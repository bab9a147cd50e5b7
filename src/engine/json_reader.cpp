// The strict reader.
#include "engine/json_reader.hpp"

#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

namespace hostnet::engine {
namespace {

using nlohmann::json;

Error nonsense(const std::string& what) {
  return {Errc::engine_error, "the engine's answer makes no sense: " + what};
}

// A key as it may be shown: an engine passes on names that users chose.
std::string shown(std::string_view key) {
  const bool plain =
      key.size() <= 80 &&
      key.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
          std::string_view::npos;
  return plain ? std::string(key) : quote(key);
}

}  // namespace

json parse_json(std::string_view text) {
  // Thrown out of the parser when a list or object opens too deep down, before memory is spent on it. `depth`
  // is the number of those around it.
  using Event = json::parse_event_t;
  const auto check_depth = [](int depth, Event event, json&) {
    if (depth >= kDeepestNesting && (event == Event::array_start || event == Event::object_start))
      throw nonsense(fmt::format("nested deeper than {} levels", kDeepestNesting));
    return true;
  };
  try {
    return json::parse(text, check_depth);
  } catch (const json::exception& error) {
    throw nonsense(fmt::format("not JSON ({})", quote(error.what())));
  }
}

JsonReader JsonReader::at(std::string_view key) const {
  if (auto member = maybe(key)) return *member;
  throw nonsense(below(key) + " is missing");
}

std::optional<JsonReader> JsonReader::maybe(std::string_view key) const {
  expect(value_->is_object(), "an object");
  const auto member = value_->find(key);
  if (member == value_->end() || member->is_null()) return std::nullopt;
  return JsonReader(*member, below(key));
}

std::string JsonReader::string() const {
  expect(value_->is_string(), "a string");
  return value_->get_ref<const std::string&>();
}

bool JsonReader::boolean() const {
  expect(value_->is_boolean(), "true or false");
  return value_->get<bool>();
}

std::int64_t JsonReader::integer(std::int64_t min, std::int64_t max) const {
  expect(value_->is_number_integer(), "a whole number");
  // Above INT64_MAX the value is kept unsigned, and get<int64_t> would wrap it round.
  const bool huge = value_->is_number_unsigned() && value_->get<std::uint64_t>() > std::uint64_t{INT64_MAX};
  const auto number = huge ? INT64_MAX : value_->get<std::int64_t>();
  if (huge || number < min || number > max)
    reject(value_->dump(), fmt::format("a whole number from {} to {}", min, max));
  return number;
}

std::string JsonReader::string_or_empty(std::string_view key) const {
  const auto member = maybe(key);
  return member ? member->string() : std::string{};
}

std::map<std::string, std::string> JsonReader::strings_or_empty(std::string_view key) const {
  std::map<std::string, std::string> strings;
  if (const auto member = maybe(key))
    member->each_member(
        [&](const std::string& name, const JsonReader& value) { strings.emplace(name, value.string()); });
  return strings;
}

void JsonReader::reject(std::string_view found, std::string_view wanted) const {
  throw nonsense(fmt::format("{} is {}, not {}", path_.empty() ? "the whole" : path_, found, wanted));
}

void JsonReader::expect(bool right, std::string_view wanted) const {
  if (!right) reject(fmt::format("of type {}", value_->type_name()), wanted);
}

std::string JsonReader::below(std::string_view key) const {
  return path_.empty() ? shown(key) : path_ + "." + shown(key);
}

}  // namespace hostnet::engine
