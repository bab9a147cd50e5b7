// The process-wide log sink.
#include "core/log.hpp"

#include "core/printable.hpp"

#include <memory>
#include <mutex>
#include <new>

namespace hostnet {
namespace {

struct Sink {
  std::mutex mutex;
  LogSink function;
};

Sink& sink() {
  // Never destroyed: a static object's destructor elsewhere may still log.
  static auto* instance = new Sink;
  return *instance;
}

}  // namespace

void set_log_sink(LogSink function) {
  std::scoped_lock lock(sink().mutex);
  sink().function = std::move(function);
}

namespace log {

void write(LogLevel level, std::string_view line) noexcept {
  std::scoped_lock lock(sink().mutex);
  if (!sink().function) return;
  try {
    sink().function(level, printable(line));
  } catch (const std::bad_alloc&) {
    // Lose the line; the work that it reports goes on.
  }
}

}  // namespace log
}  // namespace hostnet
