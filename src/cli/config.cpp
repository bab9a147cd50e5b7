// Reads the files a line at a time, so that each fault has its line.
//
// A file tells root's command which engine to trust and where its state is. So what matters is who could have
// written it, not where it is: it is judged on the descriptor that it is read from.
#include "cli/config.hpp"

#include "cli/request_options.hpp"
#include "core/fd.hpp"
#include "core/file.hpp"
#include "core/join.hpp"
#include "core/log.hpp"
#include "core/nearest.hpp"
#include "core/strings.hpp"
#include "core/trust.hpp"
#include "hostnet/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

namespace hostnet::cli {
namespace {

constexpr std::size_t kLargestConfig = 64U << 10;

// They say what is meant this time, not how.
constexpr std::array<std::string_view, 12> kOnlyByLine{"help",   "version", "config",  "no-config",
                                                       "all",    "network", "project", "container",
                                                       "bridge", "netns",   "image",   "port"};

// Two words for one thing: that of the command line counts.
constexpr std::array<std::pair<std::string_view, std::string_view>, 1> kEitherOr{{{"--json", "--format"}}};

bool is_said_otherwise(std::string_view option, const std::map<std::string, std::string>& given) {
  return std::ranges::any_of(kEitherOr, [&](const auto& two) {
    return (option == two.first && given.contains(std::string(two.second))) ||
           (option == two.second && given.contains(std::string(two.first)));
  });
}

Error config_fault(const ConfigFile& file, std::size_t line, std::string_view what, std::string hint) {
  return {Errc::invalid_argument, fmt::format("{}:{}: {}", file.path, line, what), std::move(hint)};
}

// What the path comes from.
enum class Place { option, home, system };

// nullopt if there is none. $HOME may be another user's, as after sudo -E: what this user may not see there, or what is not
// this user's, is none, either.
std::optional<ConfigFile> read_config_file(const std::string& path, Place place) {
  // O_NONBLOCK: a FIFO would block the reader.
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  const auto name = quote(path);
  if (!file) {
    if (errno == ENOENT || errno == ENOTDIR || (errno == EACCES && place != Place::option))
      return std::nullopt;
    throw Error::from_errno("configuration " + name, errno);
  }
  struct stat facts {};
  if (::fstat(file.get(), &facts) != 0) throw Error::from_errno("configuration " + name, errno);
  const char* const without = "tc-hostnet --no-config goes without it";
  if (place == Place::home && is_of_another(facts)) {
    log::warn("configuration {} is passed over: it belongs to uid {}, and this is uid {}", name, facts.st_uid,
              ::geteuid());
    return std::nullopt;
  }
  if (!S_ISREG(facts.st_mode))
    throw Error(Errc::failure, fmt::format("configuration {} is not a regular file", name), without);
  if (const auto why = distrust(facts); !why.empty())
    throw Error(Errc::not_authorised, fmt::format("configuration {} is not used: {}", name, why),
                fmt::format("sudo sh -c 'chown {0} {1} && chmod go-w {1}', or --no-config", ::geteuid(),
                            shell_word(path)));
  if (facts.st_size > static_cast<off_t>(kLargestConfig))
    throw Error(Errc::failure, fmt::format("configuration {} has more than {} bytes", name, kLargestConfig),
                without);
  return ConfigFile{path, read_all(file.get(), kLargestConfig)};
}

std::string absolute_or_empty(const std::optional<std::string>& path) {
  return path && path->starts_with('/') ? *path : std::string();
}

const OptionForm* option_named(const std::vector<OptionForm>& options, const std::string& key) {
  const auto found =
      std::ranges::find_if(options, [&](const auto& option) { return option.name() == "--" + key; });
  return found == options.end() ? nullptr : &*found;
}

bool is_for_file(const std::string& key) { return std::ranges::find(kOnlyByLine, key) == kOnlyByLine.end(); }

// The keys that a section may have; of all commands before the first section.
std::vector<std::string> keys_of(const Grammar& grammar, const CommandForm* command) {
  std::set<std::string> keys;
  const auto add = [&](const std::vector<OptionForm>& options) {
    for (const auto& option : options)
      if (!option.is_positional() && is_for_file(option.name().substr(2)))
        keys.insert(option.name().substr(2));
  };
  add(grammar.globals);
  for (const auto& one : grammar.commands)
    if (command == nullptr || command == &one) add(one.options);
  return {keys.begin(), keys.end()};
}

std::optional<bool> truth(const std::string& value) {
  for (const char* const word : {"true", "yes", "on", "1"})
    if (value == word) return true;
  for (const char* const word : {"false", "no", "off", "0"})
    if (value == word) return false;
  return std::nullopt;
}

// `via = ["relay", "ssh"]` is what `--via relay,ssh` is.
std::string in_one_word(const ConfigEntry& entry) { return join(entry.values, ","); }

void check_value(const ConfigFile& file, const ConfigEntry& entry, const OptionForm& option) {
  const auto wrong = [&](const std::string& what, std::string hint) {
    return config_fault(file, entry.line, what, std::move(hint));
  };
  if (option.metavar.empty()) {
    if (entry.values.size() != 1 || !truth(entry.values.front()))
      throw wrong(fmt::format("{} is true or false", entry.key), fmt::format("{} = true", entry.key));
    return;
  }
  const bool may_be_several = option.repeatable || option.in_order;
  if (entry.values.size() != 1 && !(may_be_several && !entry.values.empty()))
    throw wrong(fmt::format("{} needs one {}", entry.key, option.metavar),
                fmt::format("a value with blanks or commas is quoted: {} = \"…\"", entry.key));
  for (const auto& value : entry.values) {
    if (value.empty()) throw wrong(fmt::format("{} has no value", entry.key), "remove the line");
    if (option.in_order) continue;
    if (const auto fault = choice_fault(option, entry.key, value)) throw wrong(fault->what(), fault->hint());
    if (option.metavar != "DURATION") continue;
    try {
      parse_span(value);
    } catch (const Error& error) {
      throw wrong(fmt::format("{}: {}", entry.key, error.what()), error.hint());
    }
  }
  if (option.in_order)
    if (const auto fault = choice_fault(option, entry.key, in_one_word(entry)))
      throw wrong(fault->what(), fault->hint());
}

// Judges the section and the key, for whichever command they are.
void check_entry(const ConfigFile& file, const ConfigEntry& entry, const Grammar& grammar) {
  const auto* const command = entry.section.empty() ? nullptr : grammar.command(entry.section);
  if (command == nullptr && !entry.section.empty()) {
    std::vector<std::string> names;
    for (const auto& one : grammar.commands) names.push_back(one.name);
    const auto meant = nearest(entry.section, names);
    throw config_fault(file, entry.line, fmt::format("unknown section {}", quote("[" + entry.section + "]")),
                       meant ? fmt::format("did you mean [{}]?", *meant)
                             : fmt::format("a section is a command: {}", list_of(names)));
  }
  if (entry.key.empty()) return;  // the heading of a section
  if (!is_for_file(entry.key))
    throw config_fault(file, entry.line, fmt::format("{} cannot be set in a file", quote(entry.key)),
                       fmt::format("give it on the command line: --{}", entry.key));
  bool known = false;
  const auto check = [&](const std::vector<OptionForm>& options) {
    if (const auto* const option = option_named(options, entry.key)) {
      check_value(file, entry, *option);
      known = true;
    }
  };
  check(grammar.globals);
  for (const auto& one : grammar.commands)
    if (command == nullptr || command == &one) check(one.options);
  if (known) return;
  const auto keys = keys_of(grammar, command);
  const auto meant = nearest(entry.key, keys);
  const auto where = command == nullptr ? std::string() : fmt::format(" of [{}]", command->name);
  throw config_fault(
      file, entry.line, fmt::format("unknown key {}{}", quote(entry.key), where),
      meant ? fmt::format("did you mean '{}'?", *meant) : fmt::format("the keys are {}", list_of(keys)));
}

}  // namespace

std::vector<ConfigFile> config_files(const Reading& reading, const ReadVariable& read) {
  std::vector<ConfigFile> out;
  if (reading.given.contains("--no-config")) return out;
  if (const auto named = reading.given.find("--config"); named != reading.given.end()) {
    auto file = read_config_file(named->second, Place::option);
    if (!file)
      throw Error(Errc::not_found, fmt::format("there is no configuration {}", quote(named->second)),
                  "name an existing file, or leave out --config");
    out.push_back(std::move(*file));
    return out;
  }
  auto folder = absolute_or_empty(read("XDG_CONFIG_HOME"));
  if (folder.empty())
    if (const auto home = absolute_or_empty(read("HOME")); !home.empty()) folder = home + "/.config";
  std::vector<std::string> own;
  if (!folder.empty()) own = {folder + "/tc-hostnet/tc-hostnet.conf", folder + "/tc-hostnet.conf"};
  for (const auto& path : own)
    if (auto file = read_config_file(path, Place::home)) {
      out.push_back(std::move(*file));
      break;
    }
  if (auto file = read_config_file(kSystemConfig, Place::system)) out.push_back(std::move(*file));
  return out;
}

std::vector<ConfigEntry> config_entries(const ConfigFile& file, ConfigReader reader) {
  std::vector<ConfigEntry> out;
  std::string section;
  std::size_t number = 0;
  for (const auto whole : split(std::string_view(file.text), '\n')) {
    ++number;
    const auto line = trim(whole);
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    // The reader passes over such short lines, and takes a word without "=" for a flag.
    if (line.size() < 3 || (line.front() != '[' && line.find('=') == std::string_view::npos))
      throw config_fault(file, number, fmt::format("{} is neither KEY = VALUE nor [COMMAND]", quote(line)),
                         "see: man tc-hostnet.conf");
    if (line.front() == '[') {
      const auto close = line.find(']');
      if (close == std::string_view::npos)
        throw config_fault(file, number, fmt::format("{} has no closing bracket", quote(line)),
                           "write [COMMAND]");
      if (const auto rest = trim(line.substr(close + 1)); !rest.empty() && rest.front() != '#')
        throw config_fault(file, number, fmt::format("{} is behind a closing bracket", quote(rest)),
                           "write KEY = VALUE in a line of its own");
      section = trim(std::string(line.substr(1, close - 1)));
      out.push_back({.section = section, .key = {}, .values = {}, .line = number});
      continue;
    }
    std::optional<ConfigLine> item;
    try {
      item = reader(std::string(line));
    } catch (const std::exception& error) {
      throw config_fault(file, number, error.what(), "see: man tc-hostnet.conf");
    }
    if (!item)
      throw config_fault(file, number, fmt::format("{} has no key", quote(line)), "write KEY = VALUE");
    if (item->parents.size() > 1 || (!item->parents.empty() && !section.empty()))
      throw config_fault(file, number, fmt::format("{} is a section in a section", quote(line)),
                         "write [COMMAND], and KEY = VALUE below it");
    out.push_back({.section = item->parents.empty() ? section : item->parents.front(),
                   .key = std::move(item->key),
                   .values = std::move(item->values),
                   .line = number});
  }
  return out;
}

std::vector<std::string> config_words(const std::vector<ConfigFile>& files, const Reading& reading,
                                      const Grammar& grammar, const ReadVariable& read, ConfigReader reader) {
  std::vector<std::string> words;
  std::set<std::string> set;  // by an earlier file, or the section
  for (const auto& file : files) {
    const auto entries = config_entries(file, reader);
    std::set<std::pair<std::string, std::string>> seen;
    for (const auto& entry : entries) {
      check_entry(file, entry, grammar);
      if (entry.key.empty()) continue;
      if (!seen.emplace(entry.section, entry.key).second)
        throw config_fault(file, entry.line, fmt::format("{} is set twice", quote(entry.key)),
                           "keep one line");
    }
    for (const auto& wanted : {reading.command->name, std::string()}) {
      for (const auto& entry : entries) {
        if (entry.section != wanted || entry.key.empty()) continue;
        const auto* option = option_named(reading.command->options, entry.key);
        if (option == nullptr) option = option_named(grammar.globals, entry.key);
        if (option == nullptr || reading.given.contains(option->name()) || set.contains(option->name()) ||
            is_said_otherwise(option->name(), reading.given))
          continue;
        set.insert(option->name());
        if (!option->environment.empty())
          if (const auto value = read(option->environment); value && !value->empty()) continue;
        if (option->metavar.empty()) {
          if (truth(entry.values.front()).value_or(false)) words.push_back(option->name());
          continue;
        }
        if (option->in_order) {
          words.insert(words.end(), {option->name(), in_one_word(entry)});
          continue;
        }
        for (const auto& value : entry.values) words.insert(words.end(), {option->name(), value});
      }
    }
  }
  return words;
}

void add_config(Reading& reading, const Grammar& grammar, const ReadVariable& read, ConfigReader reader) {
  const auto words = config_words(config_files(reading, read), reading, grammar, read, reader);
  const auto at = reading.words.begin() + static_cast<std::ptrdiff_t>(reading.after_command);
  reading.words.insert(at, words.begin(), words.end());
  reading.asks_for_json = reading.asks_for_json || std::ranges::find(words, "--json") != words.end();
}

bool config_asks_for_json(const Reading& reading, const ReadVariable& read, ConfigReader reader) noexcept {
  try {
    bool asks = false;
    for (const auto& file : config_files(reading, read))
      for (const auto& entry : config_entries(file, reader))
        if (entry.key == "json" && entry.section.empty() && entry.values.size() == 1)
          asks = asks || truth(entry.values.front()).value_or(false);
    return asks && !reading.given.contains("--format");
  } catch (const std::exception&) {
    return false;  // what is wrong on the line is told, not what is wrong in the file
  }
}

}  // namespace hostnet::cli
