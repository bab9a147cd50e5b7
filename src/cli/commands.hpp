// The table of subcommands and the options of all of them.
#pragma once

#include "cli/command.hpp"
#include "cli/grammar.hpp"

#include <span>

namespace hostnet::cli {

/// In the order of --help.
std::span<const Command> commands();

/// Declares the options that every subcommand accepts.
void add_globals(Arguments& arguments, Globals& globals);

/// Answers --help and `help`, --version and `version`. Return the exit code.
int print_help(const Grammar& grammar, const CommandForm* command, const Globals& globals);
int print_version(const Globals& globals);

/// All declarations, as data.
Grammar make_grammar();

}  // namespace hostnet::cli
