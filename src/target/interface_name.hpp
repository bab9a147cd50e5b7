// Which names of interfaces are taken.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hostnet::exposer {

/// Why an interface name cannot be one, or nullopt. Stricter than the kernel, which allows all but '/' and
/// blanks: a name also stands in rules that people copy into a shell.
std::optional<std::string> interface_name_fault(std::string_view name);

}  // namespace hostnet::exposer
