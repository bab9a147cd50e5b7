// A gate between the message bus and sd-bus: it lets in only messages within fixed bounds.
//
// sd-bus reads a whole message, up to 128 MiB, before any filter sees it, and while it waits for a reply it
// reads everything else that arrives. So the gate takes over the connection's socket and gives sd-bus one end
// of a socket pair. Two threads carry the messages:
//
//   bus ──inward──▶ pair ──▶ sd-bus     call: judge_call(); the gate answers a refused call itself
//                                       reply: only to one of our calls; too large a reply becomes an error
//                                       signal: only the bus's own
//                                       descriptors: never accepted
//   bus ◀─outward── pair ◀── sd-bus     everything; the gate notes the serials of calls to match replies
//
// The inward thread reads and drops a message that is too large in pieces, through one buffer of
// kMaxMessageSize.
//
// Calls come in on credit. While kShare (192 KiB) of calls are with sd-bus and the loop has not reached the
// end of them (drained()), the inward thread waits and the rest stays with the bus. It must not wait while
// the loop itself waits for a reply of the bus, which is in the same stream: then a sender with at most
// kSenderReserve (16 KiB) queued may pass until kReserve (384 KiB) are queued, and any other call is refused
// (LimitsExceeded). So this process never queues more than about 4 × kShare. It follows that the loop may
// block on a reply of the bus, but on no other service: polkit is asked asynchronously.
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
/// reads end of file; when sd-bus closes it, the gate first delivers what sd-bus has written.
class BusGate {
 public:
  /// `fd` is the socket of an authenticated connection that has its unique name and is between two messages,
  /// such as a connection of sd-bus that was just opened. The descriptor keeps its number and becomes one end
  /// of the pair.
  /// @throws Error{failure}
  explicit BusGate(int fd);
  /// Call after the connection has closed its socket. Waits until the gate has delivered what it wrote.
  ~BusGate();
  BusGate(const BusGate&) = delete;
  BusGate& operator=(const BusGate&) = delete;

  /// Tells the gate that sd-bus has nothing left to process. The loop calls it each time it finds that.
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
  std::vector<std::byte> buffer_;  // these three belong to the inward thread
  std::uint32_t last_serial_ = 0;
  std::uint64_t reported_in_ = 0;
  unsigned reported_ = 0;
  std::mutex writing_;  // writing to bus_: held for one message. Taken with no other lock held.
  std::mutex mutex_;    // guards the members below. Not held while sending or logging.
  std::condition_variable changed_;
  std::size_t queued_ = 0;                        // bytes of calls given to sd-bus
  std::map<std::string, std::size_t> of_sender_;  // the same by sender
  std::map<std::uint32_t, bool> open_;            // serials of our calls; true: the bus itself answers
  std::size_t of_bus_ = 0;                        // calls in open_ that the bus itself answers
  bool closed_ = false;
  std::jthread inward_;
  std::jthread outward_;
};

}  // namespace hostnet::daemon
