// The process-wide log sink.
#include "core/log.hpp"

#include <memory>
#include <mutex>

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
  if (sink().function) sink().function(level, line);
}

}  // namespace log
}  // namespace hostnet
