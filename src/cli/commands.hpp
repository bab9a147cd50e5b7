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

/// All declarations, as data.
Grammar make_grammar();

}  // namespace hostnet::cli
