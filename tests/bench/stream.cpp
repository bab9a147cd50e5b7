// See stream.hpp.
#include "stream.hpp"

#include <algorithm>
#include <cstring>

namespace hostnet::bench {

Pattern::Pattern() : table_(kPeriod + kChunk) {
  std::uint32_t state = 1;
  for (std::size_t i = 0; i < kPeriod; ++i) {
    state = state * 1'664'525U + 1'013'904'223U;
    table_[i] = static_cast<char>(state >> 24U);
  }
  for (std::size_t i = kPeriod; i < table_.size(); ++i) table_[i] = table_[i - kPeriod];
}

bool Pattern::matches(std::uint64_t position, const char* data, std::size_t size, bool every_byte) const {
  const std::size_t compared = every_byte ? size : std::min<std::size_t>(size, 64);
  return std::memcmp(at(position), data, compared) == 0;
}

}  // namespace hostnet::bench
