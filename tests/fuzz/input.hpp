// The bytes of a fuzz target as steps, and what such a target promises.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace fuzz {

/// Ends the process, which the fuzzer reports, unless the promise is kept.
inline void require(bool promise, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  if (promise) return;
  std::fprintf(stderr, "%s:%d: a promise is broken\n", file, line);
  std::abort();
}

/// Zeros follow the last byte.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), end_(data + size) {}
  std::uint8_t next() { return data_ < end_ ? *data_++ : std::uint8_t{0}; }
  [[nodiscard]] bool empty() const { return data_ >= end_; }

 private:
  const std::uint8_t* data_;
  const std::uint8_t* end_;
};

}  // namespace fuzz
