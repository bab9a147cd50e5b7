// Finds the place of the word at the cursor, and what may stand there.
#include "cli/completion.hpp"

#include "core/strings.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>

namespace hostnet::cli {
namespace {

struct Live {
  std::string_view declared;  // an option's long name, or an argument's metavariable
  Names names;
};
constexpr std::array kLive{
    Live{"--network", Names::networks}, Live{"--container", Names::containers},
    Live{"--project", Names::projects}, Live{"--bridge", Names::bridges},
    Live{"LEASE", Names::leases},
};
constexpr std::string_view kAutomatic = "auto";  // stands alone
constexpr std::array<std::string_view, 3> kPaths{"FILE", "DIR", "PATH"};

// What stands before the cursor.
struct Place {
  const CommandForm* command = nullptr;
  std::set<std::string> given;        // options, by their long names
  const OptionForm* value = nullptr;  // the option whose value is at the cursor
  std::size_t arguments = 0;          // arguments by their place, before the cursor
  bool only_arguments = false;        // behind "--", or in another program's command line
};

const OptionForm* find_option(const std::vector<OptionForm>& options, std::string_view name) {
  const auto found = std::ranges::find_if(options, [&](const OptionForm& option) {
    return !option.is_positional() && std::ranges::find(option.names, name) != option.names.end();
  });
  return found == options.end() ? nullptr : &*found;
}

const OptionForm* find_option(const Grammar& grammar, const CommandForm* command, std::string_view name) {
  const auto* const own = command != nullptr ? find_option(command->options, name) : nullptr;
  return own != nullptr ? own : find_option(grammar.globals, name);
}

// The argument that stands at this place; the last one takes all further words if it may.
const OptionForm* argument_at(const CommandForm& command, std::size_t place) {
  const OptionForm* last = nullptr;
  for (const auto& option : command.options) {
    if (!option.is_positional()) continue;
    last = &option;
    if (place == 0) return last;
    --place;
  }
  return last != nullptr && last->repeatable ? last : nullptr;
}

Place place_behind(const Grammar& grammar, const std::vector<std::string>& words) {
  Place place;
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    const auto& word = words[i];
    if (std::exchange(place.value, nullptr) != nullptr) continue;
    if (!place.only_arguments && word == "--") {
      place.only_arguments = true;
    } else if (!place.only_arguments && word.size() > 1 && word.starts_with('-')) {
      const bool is_short = !word.starts_with("--");
      const auto* const option =
          find_option(grammar, place.command, is_short ? word.substr(0, 2) : word.substr(0, word.find('=')));
      if (option == nullptr) continue;
      place.given.insert(option->name());
      const bool has_value = is_short ? word.size() > 2 : word.find('=') != std::string::npos;
      if (!option->metavar.empty() && !has_value) place.value = option;
    } else if (place.command == nullptr) {
      place.command = grammar.command(word);
      if (place.command == nullptr) place.only_arguments = true;  // a mistyped command has no options
    } else {
      const auto* const argument = argument_at(*place.command, place.arguments++);
      if (argument != nullptr && argument->takes_rest) place.only_arguments = true;
    }
  }
  return place;
}

void offer(Completion& out, const std::string& at_cursor, const std::string& word,
           const std::string& meaning) {
  if (word.starts_with(at_cursor)) out.words.push_back({word, meaning});
}

void offer_options(Completion& out, const Place& place, const std::vector<OptionForm>& options,
                   const std::string& at_cursor) {
  for (const auto& option : options)
    if (!option.is_positional() && (option.repeatable || !place.given.contains(option.name())))
      for (const auto& name : option.names) offer(out, at_cursor, name, option.help);
}

// `value` is the part of the word at the cursor that belongs to the value, `before` the rest.
void offer_values(Completion& out, const OptionForm& option, const std::string& before,
                  const std::string& value) {
  const auto comma = option.in_order ? value.rfind(',') : std::string::npos;
  const auto at = comma == std::string::npos ? 0 : comma + 1;
  const auto chosen = split(std::string_view(value).substr(0, at), ',');
  const auto may_follow = [&](const std::string& choice) {
    if (at == 0) return true;
    return choice != kAutomatic && std::ranges::find(chosen, choice) == chosen.end() &&
           std::ranges::find(chosen, kAutomatic) == chosen.end();
  };
  for (const auto& choice : option.choices)
    if (choice.starts_with(value.substr(at)) && may_follow(choice))
      out.words.push_back({before + value.substr(0, at) + choice, {}});
  out.names = names_for(option);
  out.prefix = before;
}

}  // namespace

Names names_for(const OptionForm& option) {
  const auto& declared = option.is_positional() ? option.metavar : option.name();
  const auto* const live = std::ranges::find(kLive, declared, &Live::declared);
  if (live != kLive.end()) return live->names;
  const bool is_file = option.choices.empty() && std::ranges::find(kPaths, option.metavar) != kPaths.end();
  return is_file ? Names::files : Names::none;
}

Completion complete(const Grammar& grammar, const std::vector<std::string>& words) {
  Completion out;
  if (words.empty()) return out;
  const auto& at_cursor = words.back();
  const auto place = place_behind(grammar, words);
  if (place.value != nullptr) {
    offer_values(out, *place.value, {}, at_cursor);
    return out;
  }
  if (!place.only_arguments && at_cursor.starts_with('-')) {
    const auto equals = at_cursor.find('=');
    if (equals != std::string::npos && at_cursor.starts_with("--")) {
      const auto* const option = find_option(grammar, place.command, at_cursor.substr(0, equals));
      if (option != nullptr && !option->metavar.empty())
        offer_values(out, *option, at_cursor.substr(0, equals + 1), at_cursor.substr(equals + 1));
      return out;
    }
    if (place.command != nullptr) offer_options(out, place, place.command->options, at_cursor);
    offer_options(out, place, grammar.globals, at_cursor);
    return out;
  }
  if (place.command == nullptr) {
    if (!place.only_arguments)
      for (const auto& command : grammar.commands) offer(out, at_cursor, command.name, command.summary);
    return out;
  }
  const auto* const argument = argument_at(*place.command, place.arguments);
  if (argument == nullptr) return out;
  if (argument->takes_rest) {
    // The first word is a program; only that program knows the others.
    out.names = place.arguments == 0 ? Names::commands : Names::files;
  } else if (argument->metavar == "COMMAND") {
    for (const auto& command : grammar.commands) offer(out, at_cursor, command.name, command.summary);
  } else {
    offer_values(out, *argument, {}, at_cursor);
  }
  return out;
}

}  // namespace hostnet::cli
