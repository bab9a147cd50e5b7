// Defaults of options from a file: that of --config, else the user's and then /etc/tc-hostnet.conf.
//
//   color = "never"          for every command that has the option
//   [expose]                 for this command alone; comes before the above
//   timeout = "1d"
//
// The command line comes first, then an environment variable, then the user's file. A file is judged as a whole:
// what is wrong in the section of another command is a fault, too.
#pragma once

#include "cli/grammar.hpp"
#include "cli/usage.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::cli {

inline constexpr const char* kSystemConfig = "/etc/tc-hostnet.conf";

struct ConfigFile {
  std::string path;
  std::string text;
};

/// One line that sets a value.
struct ConfigEntry {
  std::string section;  ///< A command; empty: before the first section.
  std::string key;      ///< An option's long name without dashes; empty: the line names a section.
  std::vector<std::string> values;
  std::size_t line = 0;

  bool operator==(const ConfigEntry&) const = default;
};

/// What a line of INI or TOML says.
struct ConfigLine {
  std::vector<std::string> parents;  ///< "a" and "b" of "a.b.key".
  std::string key;
  std::vector<std::string> values;
};
/// The reader of the library that parses the options; nullopt for a line without a value. @throws std::exception.
using ConfigReader = std::optional<ConfigLine> (*)(const std::string& line);

/// The files that this command line uses; a missing one is none, unless --config names it. One in the home that belongs to
/// another user is passed over with a warning.
/// @throws Error{not_authorised} for a file that another user could have written; failure.
std::vector<ConfigFile> config_files(const Reading& reading, const ReadVariable& read);

/// Pure. @throws Error{invalid_argument} naming file and line.
std::vector<ConfigEntry> config_entries(const ConfigFile& file, ConfigReader reader);

/// The words that the files add to the command line. Pure, except for `read`.
/// @throws Error{invalid_argument} naming file, line and key.
std::vector<std::string> config_words(const std::vector<ConfigFile>& files, const Reading& reading,
                                      const Grammar& grammar, const ReadVariable& read, ConfigReader reader);

/// Whether the files ask for JSON, for the message about a faulty command line: that is judged before the files.
bool config_asks_for_json(const Reading& reading, const ReadVariable& read, ConfigReader reader) noexcept;

/// Adds them to the words for the parser. @throws as above.
void add_config(Reading& reading, const Grammar& grammar, const ReadVariable& read, ConfigReader reader);

}  // namespace hostnet::cli
