// One direction of a relayed connection: what has been seen of its two sockets, and what to do next. Pure:
// the system calls are in connection.cpp.
//
//   source      destination   held            next
//   any         writable      bytes           deliver them
//   any         full          bytes           wait
//   readable    writable      nothing         copy, or splice once the flow is large
//   ended       any           nothing         pass the end on, once
//   otherwise                                 wait
//
// Nothing is read while the destination is full, so a reader that stalls stops its own sender and costs at
// most what one call has read. Large means two reads in a row of kLargeRead or more; a small one ends that.
// A splice moves no byte through this process but costs more for a small message than a copy.
//
// Only recv(2) is trusted to say that a source has ended or is drained. A splice(2) that returns nothing may
// have stopped before urgent data; then one copy settles which it was.
//
// Sockets are watched edge-triggered: a source counts as readable until a read comes back short or empty. A
// short read is the last one unless an end of file or urgent data has been announced, for which the kernel
// gives no further edge.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hostnet::relay {

enum class Act : std::uint8_t {
  wait,      ///< For an event.
  yield,     ///< The budget is used up: other connections have their turn first.
  deliver,   ///< Write what is held.
  copy,      ///< recv(2), then send(2).
  splice,    ///< Into a pipe, then out of it.
  pass_end,  ///< shutdown(2) the destination for writing.
};

/// Bytes that one flow may read in one turn. Other connections wait for no more than this.
inline constexpr std::size_t kFlowBudget = 256U << 10;
/// A read of this size counts as large.
inline constexpr std::size_t kLargeRead = 16U << 10;
/// A splice of less than this ends the large flow.
inline constexpr std::size_t kSmallSplice = 8U << 10;

/// A value.
class Flow {
 public:
  /// What to do next with `budget` bytes left.
  [[nodiscard]] Act next(std::size_t budget) const noexcept;

  void source_readable() noexcept { readable_ = true; }
  /// An end of file, an error or urgent data is somewhere in the source.
  void source_has_more_behind() noexcept {
    readable_ = true;
    behind_ = true;
  }
  void destination_writable() noexcept { writable_ = true; }

  /// A recv(2) with room for `room` bytes gave `got` > 0.
  void copied(std::size_t got, std::size_t room) noexcept;
  /// A splice(2) from the source gave `got` > 0.
  void spliced(std::size_t got) noexcept;
  /// A splice(2) gave nothing, or there is no pipe: one copy is next.
  void splice_gave_nothing() noexcept { copy_once_ = true; }
  /// recv(2): EAGAIN.
  void drained() noexcept { readable_ = false; }
  /// recv(2): 0.
  void ended() noexcept { ended_ = true; }
  /// A write took `bytes` of what is held.
  void delivered(std::size_t bytes) noexcept { held_ -= bytes; }
  /// A write: EAGAIN.
  void destination_full() noexcept { writable_ = false; }
  void passed_end() noexcept { end_passed_ = true; }

  [[nodiscard]] std::size_t held() const noexcept { return held_; }
  [[nodiscard]] bool end_passed() const noexcept { return end_passed_; }

 private:
  std::size_t held_ = 0;  // read and not yet written
  bool readable_ = false;
  bool writable_ = false;
  bool behind_ = false;
  bool ended_ = false;
  bool end_passed_ = false;
  bool copy_once_ = false;
  std::uint8_t large_reads_ = 0;  // in a row
};

/// Room for one copy when all connections of the loop together hold `held` bytes that their destinations have
/// not taken: the more there is, the less is added. Bounds the memory that stalled readers cost without
/// stopping anybody.
[[nodiscard]] std::size_t copy_room(std::size_t held) noexcept;

/// The largest copy.
inline constexpr std::size_t kCopyRoom = 64U << 10;

}  // namespace hostnet::relay
