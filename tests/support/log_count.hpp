// What the library says, counted: for tests of what it does of its own accord.
#pragma once

#include "hostnet/log.hpp"

#include <atomic>
#include <string_view>

namespace test {

/// Counts the lines of the log with these words in them, while it lives. One at a time: it takes the log's
/// sink.
class LogCount {
 public:
  /// `words` outlives it.
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
