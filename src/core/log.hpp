// Formats log lines and passes them to the sink that the library's user has set.
#pragma once

#include "hostnet/log.hpp"

#include <fmt/format.h>

namespace hostnet::log {

/// Passes one line through printable() (core/printable.hpp) to the sink, if one is set. Never throws.
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
