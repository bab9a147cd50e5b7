// The decision, and what each result changes.
#include "path/relay/flow.hpp"

namespace hostnet::relay {
namespace {

constexpr std::uint8_t kLargeReads = 2;  // in a row, before the first splice
// From here on, copies get smaller.
constexpr std::size_t kStoreLimit = 16U << 20;
constexpr std::size_t kLeastRoom = 2U << 10;

}  // namespace

Act Flow::next(std::size_t budget) const noexcept {
  if (held_ > 0) return writable_ ? Act::deliver : Act::wait;
  if (ended_) return end_passed_ ? Act::wait : Act::pass_end;
  if (!readable_ || !writable_) return Act::wait;
  if (budget == 0) return Act::yield;
  return large_reads_ >= kLargeReads && !copy_once_ ? Act::splice : Act::copy;
}

void Flow::copied(std::size_t got, std::size_t room) noexcept {
  held_ = got;
  copy_once_ = false;
  if (got < room && !behind_) readable_ = false;
  if (got < kLargeRead)
    large_reads_ = 0;
  else if (large_reads_ < kLargeReads)
    ++large_reads_;
}

void Flow::spliced(std::size_t got) noexcept {
  held_ = got;
  if (got < kSmallSplice) large_reads_ = 0;
}

std::size_t copy_room(std::size_t held) noexcept { return held < kStoreLimit ? kCopyRoom : kLeastRoom; }

}  // namespace hostnet::relay
