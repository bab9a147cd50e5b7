// Finds the programs that belong to the library.
#pragma once

#include <string>

namespace hostnet {

/// The path of a program in libexec: $VARIABLE, else the installed path, else the same place relative to the
/// library, for an installed tree that was moved. It need not exist.
std::string libexec_program(const std::string& name, const char* variable);

}  // namespace hostnet
