// Joins texts. fmt::join() would do the same, but its header differs: fmt 11 has it in <fmt/ranges.h>, which takes half a
// second to compile.
#pragma once

#include <string>
#include <string_view>

namespace hostnet {

template <class Iterator>
std::string join(Iterator first, Iterator last, std::string_view separator) {
  std::string joined;
  for (auto part = first; part != last; ++part) {
    if (part != first) joined += separator;
    joined += *part;
  }
  return joined;
}

/// The texts of the range, with the separator between them.
template <class Range>
std::string join(const Range& parts, std::string_view separator) {
  return join(parts.begin(), parts.end(), separator);
}

}  // namespace hostnet
