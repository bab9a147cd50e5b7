// One connection of a container, joined to a service: two sockets, and a flow in each direction.
//
//   state     event                                                     next
//   dialling  the service's socket is writable                          joined
//   dialling  the dial fails                                            over; the container gets a reset
//   joined    both flows have passed their end on                       over
//   joined    a socket reports an error, once what it still had is on   over; both get a reset
//             its way as far as the other end takes it
//   joined    cut()                                                     over; both get a reset
//
// The loop frees a connection that is over after the events of the turn, some of which may still name it.
#pragma once

#include "core/fd.hpp"
#include "path/relay/counters.hpp"
#include "path/relay/flow.hpp"
#include "path/relay/pipe_pool.hpp"
#include "path/relay/service.hpp"
#include "path/relay/source.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <vector>

namespace hostnet::relay {

class Connection;

/// What all connections of a loop share.
struct Shared {
  int epoll = -1;
  PipePool pipes = {};
  std::unique_ptr<char[]> buffer = std::make_unique<char[]>(kCopyRoom);
  std::size_t held = 0;                  ///< Bytes copied and not delivered, of all connections.
  std::size_t open = 0;                  ///< Connections that are not over.
  std::vector<Connection*> ready = {};   ///< Used up their budget; turn() continues them.
  std::vector<Connection*> buried = {};  ///< Over, and not freed yet.
};

/// Used by the loop's thread.
class Connection {
 public:
  /// `home` holds the connection from now on; free() erases it there.
  Connection(Shared& shared, Counters& counters, std::list<Connection>& home, Fd client, Dial dialled);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  /// Registers both sockets; on failure the connection is over. Call once.
  void start(std::list<Connection>::iterator place) noexcept;
  /// Continues after a yield.
  void turn() noexcept;
  /// Resets both ends.
  void cut() noexcept { end(true); }
  /// Frees a connection that is over.
  void free() { home_.erase(place_); }

 private:
  struct Side final : Source {
    Connection* connection = nullptr;
    std::size_t index = 0;
    void on_events(std::uint32_t events) override { connection->on_events(index, events); }
  };
  // What a flow has read and its destination has not taken: in the pipe or in the buffer.
  struct Carry {
    Pipe pipe;
    std::unique_ptr<char[]> bytes;
    std::size_t start = 0;
  };

  void on_events(std::size_t side, std::uint32_t events) noexcept;
  void move_both() noexcept;
  bool move(std::size_t from) noexcept;
  bool copy(std::size_t from, std::size_t& budget) noexcept;
  bool splice_in(std::size_t from, std::size_t& budget) noexcept;
  bool deliver(std::size_t from) noexcept;
  bool keep_rest(std::size_t from, const char* rest, std::size_t size) noexcept;
  bool failed() noexcept;
  void count(std::size_t from, std::size_t bytes) noexcept;
  void end(bool reset) noexcept;

  static constexpr std::size_t kContainer = 0;  // a side, and the flow that it is the source of
  static constexpr std::size_t kService = 1;

  Shared& shared_;
  Counters& counters_;
  std::list<Connection>& home_;
  std::list<Connection>::iterator place_;
  std::array<Fd, 2> sockets_;
  std::array<Side, 2> sides_;
  std::array<Flow, 2> flows_;
  std::array<Carry, 2> carries_;
  bool dialling_;
  bool has_error_ = false;
  bool queued_ = false;  // in shared_.ready
  bool over_ = false;
};

/// Closes a socket with a reset, even where a forked child still has its descriptor.
void reset(Fd socket) noexcept;

}  // namespace hostnet::relay
