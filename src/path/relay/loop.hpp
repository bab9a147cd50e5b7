// The relay's event loop: joins the connections of bound sockets with services of this host and moves their
// bytes, in one thread.
//
// Theory of operation
//
//   listener   event                                                      next
//   refuses    the service listens                                        accepts: listen(2)
//   accepts    the service listens no more, or refuses a connection       refuses: shutdown(2)
//   accepts    no descriptor is free, or a Unix service's queue is full   pauses for Limits::pause
//   accepts    Limits::most_open connections are open                     pauses for Limits::pause
//   accepts    it is not known yet who may connect (peers.hpp)            accepts; they wait in the kernel's queue
//                                                                         until resume()
//   pauses     the time has passed                                        accepts
//
// True refusal. A socket that is bound and does not listen holds the port and refuses connections, as the
// service's own port would. listen(2) opens it, shutdown(SHUT_RD) closes it again and keeps the binding and
// the accepted connections; without SO_REUSEADDR those would keep it from opening once more.
// Limits::gate_period decides how soon it follows the service.
//
// One turn: the events of one epoll_wait(2), then one more budget (flow.hpp) for each connection that has not
// had enough, then the dead are freed. So nothing waits longer than a budget of each busy connection, and the
// loop sleeps only when there is nothing to do. Everything is edge-triggered: a listener that is shut down
// would otherwise report a hang-up for ever.
//
// A UDP socket is joined by datagrams.hpp, and followed by the same look at the services.
//
// Scarcity. A connection that cannot be accepted or joined for want of a descriptor stays in the listener's
// queue, or waits accepted for kDialPatience; the loop tries again at intervals and never spins.
#pragma once

#include "core/fd.hpp"
#include "path/relay/connection.hpp"
#include "path/relay/counters.hpp"
#include "path/relay/datagrams.hpp"
#include "path/relay/peers.hpp"
#include "path/relay/presence.hpp"
#include "path/relay/service.hpp"

#include <chrono>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace hostnet::relay {

/// For tests; the values of the product are the defaults.
struct Limits {
  std::size_t most_open = 16'384;  ///< Connections.
  std::chrono::milliseconds gate_period{50};
  std::chrono::milliseconds pause{20};
  DatagramLimits datagrams = {};
};

/// Used by one thread.
class Loop {
 public:
  using Clock = std::chrono::steady_clock;
  using Id = std::uint64_t;

  /// @throws Error.
  explicit Loop(Limits limits = {});
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop();

  /// Serves a non-blocking TCP socket that was bound to a port by its number, with SO_REUSEADDR, and does not
  /// listen, or a UDP socket. On return it listens if the service does. Without `peers` it serves whoever
  /// connects or sends. @throws Error.
  Id add(Fd socket, Service service, std::shared_ptr<Counters> counters,
         std::shared_ptr<Peers> peers = nullptr);
  /// Call when its peers have become known.
  void resume(Id id);
  /// Closes the socket and resets its connections.
  void remove(Id id);
  /// Reports a descriptor, level-triggered, until the loop ends. @throws Error.
  void watch(int fd, Source& source);
  /// Handles what is ready; waits for it if there is nothing. @throws Error.
  void turn();

 private:
  class Listener;

  [[nodiscard]] bool serves() const noexcept { return !listeners_.empty() || !datagrams_.empty(); }
  [[nodiscard]] int patience() const;
  void look_at_services();
  void continue_ready();
  void resume_paused();
  void bury();

  Limits limits_;
  Fd epoll_;
  Shared shared_;
  std::map<Id, std::unique_ptr<Listener>> listeners_;
  std::map<Id, std::unique_ptr<Datagrams>> datagrams_;
  std::vector<Listener*> paused_;
  Id next_id_ = 1;
  Clock::time_point next_look_;
};

}  // namespace hostnet::relay
