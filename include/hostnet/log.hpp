// The log sink. The library never writes to standard output or standard error.
#pragma once

#include "hostnet/export.hpp"

#include <functional>
#include <string_view>

namespace hostnet {

/// How much a message matters, lowest first.
enum class LogLevel { debug, info, warning, error };

/// Receives one line without a newline. Any thread calls it, one call at a time. It must not throw, must not
/// call the library (set_log_sink() included), and must not wait for a thread that does. The line is valid
/// only during the call.
///
/// The line is valid UTF-8 and safe for a terminal: control, format and other invisible characters from names
/// or engine messages appear as `\xNN`, `\uNNNN` or `\UNNNNNNNN`.
using LogSink = std::function<void(LogLevel, std::string_view)>;

/// Replaces the process-wide sink. An empty sink, the default, discards every line. Returns after a running
/// call of the old sink has ended. Thread-safe.
HOSTNET_EXPORT void set_log_sink(LogSink sink);

}  // namespace hostnet
