// What is wrong with a command line, in one line that names the word and what was probably meant.
//
// The parser's own messages name neither, and their words change with its version. So the words are judged here
// first, as a pure function of the grammar; the parser then gets a command line that it accepts.
#pragma once

#include "cli/grammar.hpp"
#include "hostnet/error.hpp"

#include <functional>
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
  /// The words for the parser: with "--" before the first word of a command that `run` starts, so that this
  /// command's options are its own.
  std::vector<std::string> words;
};

/// Reads an environment variable; nullopt if it is unset.
using ReadVariable = std::function<std::optional<std::string>(const std::string& name)>;

/// `words` are those after the program's name.
Reading read_words(const std::vector<std::string>& words, const Grammar& grammar, const ReadVariable& read);

/// For a word that should name a command.
Error unknown_command(const std::string& word, const Grammar& grammar);

}  // namespace hostnet::cli
