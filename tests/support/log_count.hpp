// Counts log lines, for tests of what the library does on its own.
#pragma once

#include "hostnet/log.hpp"

#include <atomic>
#include <string_view>

namespace test {

/// Counts the log lines that contain `words` during its lifetime. Use one at a time: it replaces the log
/// sink.
class LogCount {
 public:
  /// `words` must outlive the object.
  explicit LogCount(std::string_view words) {
    hostnet::set_log_sink([this, words](hostnet::LogLevel, std::string_view line) {
      if (line.find(words) != std::string_view::npos) ++times_;
    });
  }
  LogCount(const LogCount&) = delete;
  LogCount& operator=(const LogCount&) = delete;
  ~LogCount() { hostnet::set_log_sink({}); }
  [[nodiscard]] int times() const { return times_; }

 private:
  std::atomic<int> times_{0};
};

}  // namespace test
