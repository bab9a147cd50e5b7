// The permitted characters of interface names.
#include "target/interface_name.hpp"

#include "core/strings.hpp"

#include <fmt/format.h>
#include <net/if.h>

#include <algorithm>

namespace hostnet::exposer {

std::optional<std::string> interface_name_fault(std::string_view name) {
  if (name.empty()) return "it is empty";
  if (name.size() >= IFNAMSIZ) return fmt::format("it is longer than {} characters", IFNAMSIZ - 1);
  if (name == "." || name == ".." || name.front() == '-') return "no interface is called that";
  const auto odd = std::ranges::find_if_not(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_.:@").find(c) != std::string_view::npos;
  });
  if (odd != name.end()) return fmt::format("it holds the character {}", quote(std::string_view(&*odd, 1)));
  return std::nullopt;
}

}  // namespace hostnet::exposer
