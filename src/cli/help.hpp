// The text of --help and `help`, from the grammar alone.
#pragma once

#include "cli/grammar.hpp"
#include "cli/output.hpp"

#include <cstddef>

namespace hostnet::cli {

/// The help of one command, or of the whole if `command` is null: as JSON, and in lines of at most `width` columns.
json::Value help_to_json(const Grammar& grammar, const CommandForm* command);
Text help_text(const Grammar& grammar, const CommandForm* command, std::size_t width);

}  // namespace hostnet::cli
