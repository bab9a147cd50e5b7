// How the library speaks to the log sink that its user set.
#pragma once

#include "hostnet/log.hpp"

#include <fmt/format.h>

namespace hostnet::log {

/// Hands one line to the sink, if there is one, after printable() (core/printable.hpp). Never throws.
/// Thread-safe.
void write(LogLevel level, std::string_view line) noexcept;

template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  write(LogLevel::debug, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  write(LogLevel::info, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  write(LogLevel::warning, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  write(LogLevel::error, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace hostnet::log
