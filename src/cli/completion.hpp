// What may stand at one place of a command line, for the completion in a shell.
//
// The shells' scripts (data/completion.*) know no word of the command: they ask `tc-hostnet __complete
// WORD...`, which answers from the grammar. Its last word is the one at the cursor, perhaps empty. It prints
// one candidate a line, with a tab and its meaning behind it, or ":files" or ":commands", which the shell
// completes itself. It prints no error and ends with 0.
#pragma once

#include "cli/grammar.hpp"

#include <string>
#include <vector>

namespace hostnet::cli {

struct Candidate {
  std::string word;
  std::string meaning;

  bool operator==(const Candidate&) const = default;
};

/// Words that the grammar does not know.
enum class Names { none, networks, containers, projects, bridges, leases, files, commands };

struct Completion {
  std::vector<Candidate> words;
  Names names = Names::none;
  std::string prefix;  ///< Of each name, in the same word: "--network=".
};

/// Pure. `words` are those after the program's name up to the cursor, not empty.
Completion complete(const Grammar& grammar, const std::vector<std::string>& words);

/// What the option's value names.
Names names_for(const OptionForm& option);

/// Answers for these words on standard output. Asks the engine for at most some 80 ms.
void print_completion(const std::vector<std::string>& words);

}  // namespace hostnet::cli
