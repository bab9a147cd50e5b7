// Walks over the words once, as the parser will, and stops at the first fault.
#include "cli/usage.hpp"

#include "core/join.hpp"
#include "core/nearest.hpp"
#include "core/strings.hpp"
#include "path/paths.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

namespace hostnet::cli {
namespace {

Error fault_of(std::string what, std::string hint = {}) {
  return {Errc::invalid_argument, std::move(what), std::move(hint)};
}

// "a DURATION", "an IMAGE".
std::string with_article(const std::string& metavar) {
  return fmt::format("{} {}",
                     std::string_view("AEIO").find(metavar.front()) != std::string_view::npos ? "an" : "a",
                     metavar);
}

std::string or_list(const std::vector<std::string>& words) {
  if (words.size() < 2) return words.empty() ? "" : words.front();
  return fmt::format("{} or {}", join(words.begin(), words.end() - 1, ", "), words.back());
}

// The dashes that word processors and web pages make of "-" and "--".
std::size_t length_of_other_dash(std::string_view word) {
  for (const std::string_view dash : {"\u2010", "\u2011", "\u2012", "\u2013", "\u2014", "\u2015", "\u2212"})
    if (word.starts_with(dash)) return dash.size();
  return 0;
}

class Walk {
 public:
  Walk(const std::vector<std::string>& words, const Grammar& grammar) : words_(words), grammar_(grammar) {}

  Reading run(const ReadVariable& read) {
    find_command();
    reading_.asks_for_json = find_json();
    for (at_ = 0; at_ < words_.size() && !reading_.fault; ++at_) step();
    if (!reading_.fault && !reading_.asks_for_help) check_whole(read);
    if (!by_place_.empty()) reading_.words.emplace_back("--");
    reading_.words.insert(reading_.words.end(), by_place_.begin(), by_place_.end());
    return std::move(reading_);
  }

 private:
  const CommandForm* command() const { return reading_.command; }

  [[nodiscard]] std::string see() const {
    return fmt::format("see: tc-hostnet {}--help", command() != nullptr ? command()->name + " " : "");
  }

  // The first word that is no option and no option's value: known before the options are judged, so that those
  // before the command can be compared with the command's, and `run` has its exit code for each fault.
  void find_command() {
    for (std::size_t i = 0; i < words_.size(); ++i) {
      const auto& word = words_[i];
      if (word == "--") return;
      if (word.size() > 1 && word.starts_with('-')) {
        const auto* const option = find(grammar_.globals, word.substr(0, word.find('=')));
        if (option != nullptr && !option->metavar.empty() && word.find('=') == std::string::npos) ++i;
        continue;
      }
      if ((reading_.command = grammar_.command(word)) != nullptr || all_known_before(i)) return;
    }
  }

  // Whether --json is among the command's own words, whatever is wrong with the others.
  [[nodiscard]] bool find_json() const {
    bool seen = false;
    for (std::size_t i = 0; i < words_.size() && words_[i] != "--"; ++i) {
      const auto& word = words_[i];
      const auto name = word.substr(0, word.find('='));
      if (name == "--json") return true;
      if (word.size() > 1 && word.starts_with('-')) {
        const auto* option = find(grammar_.globals, word);
        if (option == nullptr && command() != nullptr) option = find(command()->options, word);
        if (option != nullptr && !option->metavar.empty()) ++i;
        continue;
      }
      if (seen && std::ranges::any_of(command()->options, &OptionForm::takes_rest)) return false;
      seen = command() != nullptr;
    }
    return false;
  }

  // Whether no unknown option, which may take the word as its value, stands before it.
  [[nodiscard]] bool all_known_before(std::size_t end) const {
    return std::ranges::none_of(words_.begin(), words_.begin() + static_cast<std::ptrdiff_t>(end),
                                [&](const auto& word) {
                                  return word.size() > 1 && word.starts_with('-') &&
                                         find(grammar_.globals, word.substr(0, word.find('='))) == nullptr;
                                });
  }

  static const OptionForm* find(const std::vector<OptionForm>& options, std::string_view name) {
    const auto found = std::ranges::find_if(options, [&](const auto& option) {
      return !option.is_positional() && std::ranges::find(option.names, name) != option.names.end();
    });
    return found == options.end() ? nullptr : &*found;
  }

  // Options of the command count only after its name.
  [[nodiscard]] const OptionForm* find(std::string_view name) const {
    const auto* const option = seen_command_ ? find(command()->options, name) : nullptr;
    return option != nullptr ? option : find(grammar_.globals, name);
  }

  void step() {
    const auto& word = words_[at_];
    if (only_arguments_ || word == "-" || word.empty() || word.front() != '-') return argument(word);
    if (word == "--") {
      only_arguments_ = true;
      return;
    }
    reading_.words.push_back(word);
    if (word.starts_with("--")) {
      long_option(word);
    } else {
      short_options(word);
    }
  }

  void argument(const std::string& word) {
    if (!seen_command_) {
      if (command() == nullptr || word != command()->name) return unknown_command(word);
      seen_command_ = true;
      reading_.words.push_back(word);
      reading_.after_command = reading_.words.size();
      return;
    }
    if (const auto dash = length_of_other_dash(word); dash > 0 && !only_arguments_)
      return other_dash(word, dash);
    const auto* const form = next_argument();
    if (form == nullptr) {
      const bool none = std::ranges::none_of(command()->options, &OptionForm::is_positional);
      reading_.fault = fault_of(fmt::format("{} takes {}: {} is one word too many", command()->name,
                                            none ? "no argument" : "one argument", quote(word)),
                                see());
      return;
    }
    ++arguments_;
    only_arguments_ = only_arguments_ || form->takes_rest;
    given_[form] = true;
    by_place_.push_back(word);
  }

  // The form of the argument at the next place; the last one may be repeatable.
  [[nodiscard]] const OptionForm* next_argument() const {
    std::size_t place = 0;
    for (const auto& option : command()->options) {
      if (!option.is_positional()) continue;
      if (place++ == arguments_ || option.repeatable) return &option;
    }
    return nullptr;
  }

  void unknown_command(const std::string& word) {
    if (const auto dash = length_of_other_dash(word); dash > 0) return other_dash(word, dash);
    reading_.fault = cli::unknown_command(word, grammar_);
  }

  void other_dash(const std::string& word, std::size_t dash) {
    const auto rest = word.substr(dash);
    const auto meant = nearest("--" + rest, long_names());
    reading_.fault = fault_of(fmt::format("{} begins with a dash that is not '-'{}", quote(word),
                                          meant ? fmt::format(": did you mean '{}'?", *meant) : ""),
                              meant ? "" : "options begin with '-' or '--'");
  }

  void long_option(const std::string& word) {
    const auto equals = word.find('=');
    const auto name = word.substr(0, equals);
    const auto* const option = find(name);
    if (option == nullptr) return unknown_option(name);
    if (option->metavar.empty()) {
      if (equals != std::string::npos)
        reading_.fault =
            fault_of(fmt::format("{} takes no value, but {} is given", name, quote(word.substr(equals + 1))),
                     fmt::format("leave out {}", quote(word.substr(equals))));
      else
        note(*option, name, "");
      return;
    }
    if (equals == std::string::npos) return take_next(*option, name);
    reading_.words.back() = name;  // apart, as the parser has its own idea of an empty value behind "="
    reading_.words.push_back(word.substr(equals + 1));
    note(*option, name, reading_.words.back());
  }

  // "-qv", "-p8088", "-p 8088".
  void short_options(const std::string& word) {
    for (std::size_t i = 1; i < word.size(); ++i) {
      const auto name = std::string("-") + word[i];
      const auto* const option = find(name);
      // "-port" is one option with a dash too few, not -p with the value "ort".
      if (i == 1 && word.size() > 2) {
        const auto end = word.find('=');
        if (find("-" + word.substr(0, end)) != nullptr) {
          reading_.fault = fault_of(fmt::format("unknown option {}: did you mean '-{}'?",
                                                quote(word.substr(0, end)), word.substr(0, end)));
          return;
        }
      }
      if (option == nullptr) return unknown_option(i == 1 ? word : name);
      if (!option->metavar.empty()) {
        if (i + 1 < word.size()) return note(*option, name, word.substr(i + 1));
        return take_next(*option, name);
      }
      note(*option, name, "");
    }
  }

  void take_next(const OptionForm& option, const std::string& name) {
    const auto* const next = at_ + 1 < words_.size() ? &words_[at_ + 1] : nullptr;
    const bool is_option = next != nullptr && next->size() > 1 && next->starts_with('-') &&
                           (*next == "--" || find(next->substr(0, next->find('='))) != nullptr);
    if (next == nullptr || is_option) {
      reading_.fault = fault_of(fmt::format("{} needs {}{}", name, with_article(option.metavar),
                                            is_option ? fmt::format(", but {} follows", quote(*next)) : ""),
                                see());
      return;
    }
    ++at_;
    reading_.words.push_back(*next);
    note(option, name, *next);
  }

  // Notes that the option is given, and judges its value.
  void note(const OptionForm& option, const std::string& name, const std::string& value) {
    reading_.given[option.name()] = value;
    if (option.name() == "--help" || option.name() == "--version") reading_.asks_for_help = true;
    const bool may_be_empty =
        option.metavar == "TEXT" || option.metavar == "ADDRESS" || option.metavar == "DIR";
    if (value.empty() && !option.metavar.empty() && !may_be_empty)
      reading_.fault = fault_of(
          fmt::format("{} needs {}, but an empty word is given", name, with_article(option.metavar)), see());
    else if (std::exchange(given_[&option], true) && !option.repeatable && !option.metavar.empty())
      reading_.fault = fault_of(fmt::format("{} is given twice", name), "give it once");
    else
      check_choice(option, name, value);
  }

  void check_choice(const OptionForm& option, const std::string& what, const std::string& value) {
    if (auto fault = choice_fault(option, what, value)) reading_.fault = std::move(fault);
  }

  [[nodiscard]] std::vector<std::string> long_names() const {
    std::vector<std::string> names;
    const auto add = [&](const std::vector<OptionForm>& options) {
      for (const auto& option : options)
        if (!option.is_positional()) names.push_back(option.name());
    };
    if (command() != nullptr) add(command()->options);
    add(grammar_.globals);
    return names;
  }

  void unknown_option(const std::string& name) {
    const auto* const here = command() != nullptr ? find(command()->options, name) : nullptr;
    if (here != nullptr) {  // then the command's name is still to come
      reading_.fault = fault_of(fmt::format("option {} belongs after the command", quote(name)),
                                fmt::format("tc-hostnet {} {}{}", command()->name, name,
                                            here->metavar.empty() ? "" : " " + here->metavar));
      return;
    }
    if (said_by_others(name, quote(name))) return;
    if (const auto meant = nearest(name, long_names()); meant && name.starts_with("--"))
      reading_.fault = fault_of(fmt::format("unknown option {}: did you mean '{}'?", quote(name), *meant));
    else if (const auto dashed = nearest("-" + name, long_names()); dashed && name.size() > 3)
      reading_.fault = fault_of(fmt::format("unknown option {}: did you mean '{}'?", quote(name), *dashed));
    else if (const auto other = name.starts_with("--") ? nearest(name, names_elsewhere()) : std::nullopt;
             !other || !said_by_others(*other, fmt::format("{}, nor {}", quote(name), quote(*other))))
      reading_.fault = fault_of(fmt::format("unknown option {}", quote(name)), see());
  }

  // False if no other command has this option.
  bool said_by_others(const std::string& name, const std::string& shown) {
    std::vector<std::string> owners;
    const OptionForm* theirs = nullptr;
    for (const auto& one : grammar_.commands)
      if (const auto* const option = find(one.options, name)) {
        owners.push_back(one.name);
        theirs = option;
      }
    if (owners.empty()) return false;
    const auto what = command() == nullptr ? fmt::format("there is no global option {}", shown)
                                           : fmt::format("{} has no option {}", command()->name, shown);
    const bool by_place =
        command() != nullptr && std::ranges::any_of(command()->options, [&](const auto& option) {
          return option.is_positional() && theirs->metavar == option.metavar;
        });
    reading_.fault = by_place
                         ? fault_of(what, fmt::format("give the {} alone: {}", theirs->metavar, example()))
                         : fault_of(fmt::format("{}: it belongs to {}", what, list_of(owners)), see());
    return true;
  }

  [[nodiscard]] std::string example() const {
    return command()->examples.empty() ? "tc-hostnet " + command()->name : command()->examples.front();
  }

  [[nodiscard]] std::vector<std::string> names_elsewhere() const {
    std::vector<std::string> names;
    for (const auto& one : grammar_.commands)
      for (const auto& option : one.options)
        if (!option.is_positional()) names.push_back(option.name());
    return names;
  }

  // What only the whole line shows: a command, what it requires, and variables instead of options.
  void check_whole(const ReadVariable& read) {
    if (command() == nullptr) {
      reading_.fault = fault_of("no command is given", see());
      return;
    }
    for (const auto* const options : {&grammar_.globals, &command()->options})
      for (const auto& option : *options) {
        if (reading_.fault || given_.contains(&option)) continue;
        if (option.required) {
          reading_.fault = fault_of(
              fmt::format("{} needs {}", command()->name,
                          option.is_positional() ? with_article(option.metavar)
                                                 : fmt::format("{} {}", option.name(), option.metavar)),
              "for example: " + example());
        } else if (!option.environment.empty()) {
          if (const auto value = read(option.environment); value && !value->empty())
            check_choice(option, "$" + option.environment, *value);
        }
      }
  }

  const std::vector<std::string>& words_;
  const Grammar& grammar_;
  Reading reading_;
  std::size_t at_ = 0;
  std::vector<std::string> by_place_;
  std::size_t arguments_ = 0;  // those by their place, without the command
  bool seen_command_ = false;
  bool only_arguments_ = false;
  std::map<const OptionForm*, bool> given_;
};

}  // namespace

namespace {

std::optional<Error> order_fault(const OptionForm& option, const std::string& what,
                                 const std::string& value) {
  auto one = option;
  one.in_order = false;
  for (const auto part : split(std::string_view(value), ','))
    if (auto fault = choice_fault(one, what, std::string(trim(part)))) {
      if (fault->hint().empty()) return fault;
      return fault_of(fault->what(), fault->hint() + ", or several in the order to try: relay,ssh");
    }
  try {
    exposer::parse_order(value);
  } catch (const Error& error) {
    return error.in_context(what);
  }
  return std::nullopt;
}

}  // namespace

std::optional<Error> choice_fault(const OptionForm& option, const std::string& what,
                                  const std::string& value) {
  if (option.in_order) return order_fault(option, what, value);
  if (option.choices.empty() || std::ranges::find(option.choices, value) != option.choices.end())
    return std::nullopt;
  if (const auto meant = nearest(value, option.choices))
    return fault_of(fmt::format("{} cannot be {}: did you mean '{}'?", what, quote(value), *meant));
  return fault_of(fmt::format("{} cannot be {}", what, quote(value)),
                  fmt::format("it is {}", or_list(option.choices)));
}

Error unknown_command(const std::string& word, const Grammar& grammar) {
  std::vector<std::string> names;
  for (const auto& one : grammar.commands) names.push_back(one.name);
  if (const auto meant = nearest(word, names))
    return fault_of(fmt::format("unknown command {}: did you mean '{}'?", quote(word), *meant));
  return fault_of(fmt::format("unknown command {}", quote(word)),
                  fmt::format("the commands are {}", list_of(names)));
}

Reading read_words(const std::vector<std::string>& words, const Grammar& grammar, const ReadVariable& read) {
  return Walk(words, grammar).run(read);
}

}  // namespace hostnet::cli
