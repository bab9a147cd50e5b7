// Validates interface names.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hostnet::exposer {

/// Why this is not a valid interface name, or nullopt. Stricter than the kernel, which forbids only '/' and
/// blanks: names also appear in rules that people copy into a shell.
std::optional<std::string> interface_name_fault(std::string_view name);

}  // namespace hostnet::exposer
