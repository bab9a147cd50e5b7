// Durations as people write them: "90", "15m", "1h30m", "1d", "500ms".
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace hostnet {

/// Numbers with the units d, h, m, s and ms, the largest unit first and each at most once; a number alone is in
/// seconds. @throws Error{invalid_argument} for anything else, and outside of `least` and `most`.
std::chrono::milliseconds parse_duration(std::string_view text, std::chrono::milliseconds least,
                                         std::chrono::milliseconds most);

/// "1 d 12 h", "90 s", "250 ms": for messages.
std::string duration_text(std::chrono::milliseconds span);

}  // namespace hostnet
