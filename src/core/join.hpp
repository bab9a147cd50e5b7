// Joins texts. Not fmt::join(): it is in <fmt/format.h> up to fmt 10, and in <fmt/ranges.h> from 11 on.
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
