// What is wrong with a command line, in one line that names the word and what was probably meant.
//
// The parser's own messages name neither, and their words change with its version. So the words are judged here
// first, as a pure function of the grammar; the parser then gets a command line that it accepts.
#pragma once

#include "cli/grammar.hpp"
#include "hostnet/error.hpp"

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::cli {

struct Reading {
  /// The command, also when something else on the line is wrong; null when none is named.
  const CommandForm* command = nullptr;
  std::optional<Error> fault;
  /// --help or --version was given: the parser answers it, whatever else the line has.
  bool asks_for_help = false;
  /// --json was given, also when something else on the line is wrong: the message is then JSON, too.
  bool asks_for_json = false;
  /// The words for the parser: options first, then "--" and the arguments, so that it takes none of these for
  /// an option or for another command.
  std::vector<std::string> words;
  /// The place in `words` behind the command's name.
  std::size_t after_command = 0;
  /// The options on the command line, by their long names, with their last values.
  std::map<std::string, std::string> given;
};

/// Reads an environment variable; nullopt if it is unset.
using ReadVariable = std::function<std::optional<std::string>(const std::string& name)>;

/// `words` are those after the program's name.
Reading read_words(const std::vector<std::string>& words, const Grammar& grammar, const ReadVariable& read);

/// Why an option cannot have this value; `what` names the option or where the value comes from.
std::optional<Error> choice_fault(const OptionForm& option, const std::string& what,
                                  const std::string& value);

/// For a word that should name a command.
Error unknown_command(const std::string& word, const Grammar& grammar);

}  // namespace hostnet::cli
