// Between the message bus and sd-bus: only messages within bounds come in.
//
// sd-bus reads a message whole, up to 128 MiB, before any filter sees it, and while it waits for an answer of
// its own it takes in whatever else comes. So the connection's socket is taken from it and replaced by one
// end of a pair; two threads carry the messages:
//
//   bus ──inward──▶ pair ──▶ sd-bus     a call: judge_call(); refused, the gate answers it itself
//                                       an answer: only to a call of ours; one too large becomes an error
//                                       a signal: only the bus's own
//                                       descriptors: none are ever taken
//   bus ◀─outward── pair ◀── sd-bus     everything; serials of calls are noted, their answers may come in
//
// A message that is too large is read and dropped piece by piece through one buffer of kMaxMessageSize.
//
// Calls come in on credit: when kShare bytes of them are with sd-bus and the loop has not come to the end of
// them (drained()), the inward thread waits, and the rest stays with the bus. It may not wait while the loop
// itself waits for an answer of the bus, which stands in the same line: then senders that are not many calls
// ahead use a reserve, and all else is refused (LimitsExceeded). So never more than some 4 × kShare bytes are
// queued in this process. It follows that the loop may wait for an answer of the bus, and of no other
// service: polkit is asked asynchronously.
#pragma once

#include "core/fd.hpp"
#include "daemon/message_bound.hpp"

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace hostnet::daemon {

/// Two threads, which inherit the signal mask. They end with the connection: when the bus closes it, sd-bus
/// reads the end; when sd-bus closes it, what it has written is carried out first.
class BusGate {
 public:
  /// `fd` is the socket of a connection that is authenticated, has its unique name and is between two
  /// messages, as sd-bus's is when a connection has just been opened. The number goes on to be the
  /// connection's socket.
  /// @throws Error{failure}
  explicit BusGate(int fd);
  /// After the connection has closed its socket: waits until that is carried out.
  ~BusGate();
  BusGate(const BusGate&) = delete;
  BusGate& operator=(const BusGate&) = delete;

  /// sd-bus has nothing more to process. From the loop, each time that it turns out so.
  void drained();

 private:
  class Incoming;

  void carry(bool (BusGate::*take)());
  bool take_in();
  bool take_out();
  void judge(const Preamble& preamble, const std::optional<Fields>& fields, bool whole);
  void refuse(const Preamble& preamble, const Fields& fields, const Refusal& refusal);
  std::uint32_t next_serial() noexcept;
  bool admit(const std::string& sender, std::size_t size);
  bool settle(std::uint32_t serial);
  void note(const Preamble& preamble, const Fields& fields);
  void report(const Fields& fields, const Refusal& refusal);
  void close() noexcept;

  Fd bus_;
  Fd inside_;
  std::vector<std::byte> buffer_;  // of the inward thread, which alone uses these three
  std::uint32_t last_serial_ = 0;
  std::uint64_t reported_in_ = 0;
  unsigned reported_ = 0;
  std::mutex writing_;  // to bus_: held for one message. Taken with no other lock held.
  std::mutex mutex_;    // what follows. Nothing is sent or logged under it.
  std::condition_variable changed_;
  std::size_t queued_ = 0;                        // bytes of calls that sd-bus was given
  std::map<std::string, std::size_t> of_sender_;  // the same by sender
  std::map<std::uint32_t, bool> open_;            // serials of our calls; whether the bus itself answers
  std::size_t of_bus_ = 0;                        // how many it is to answer
  bool closed_ = false;
  std::jthread inward_;
  std::jthread outward_;
};

}  // namespace hostnet::daemon
