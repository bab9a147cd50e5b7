// Where the library's messages go. The library itself never prints.
#pragma once

#include "hostnet/export.hpp"

#include <functional>
#include <string_view>

namespace hostnet {

/// How much a message matters, the least first.
enum class LogLevel { debug, info, warning, error };

/// Receives one line without a newline. Called from any thread, one call at a time; must not throw and must
/// not call set_log_sink() nor anything else of the library, nor wait for a thread that does.
///
/// The line is valid UTF-8 and safe for a terminal: control, format and other invisible characters that a
/// name or an engine's words brought are in it as `\xNN`, `\uNNNN` or `\UNNNNNNNN`.
using LogSink = std::function<void(LogLevel, std::string_view)>;

/// Replaces the process-wide sink; an empty one discards everything, which is the default. Thread-safe.
HOSTNET_EXPORT void set_log_sink(LogSink sink);

}  // namespace hostnet
