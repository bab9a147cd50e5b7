// One bound UDP socket of a lease: each source gets a socket of its own that is connected with the service, so that the
// service's answers find their way back.
//
//   event                                                 then
//   a datagram of a new source                            a conversation: a socket connected with the service; dropped
//                                                         if the source may not have one (peers.hpp)
//   it is not known yet who may have one                  nothing is read: datagrams wait in the kernel's queue until
//                                                         resume()
//   a datagram of a conversation                          passed on, and it lives on
//   no datagram of a source that was never answered       the conversation ends after Limits::unanswered
//   no datagram either way after an answer                it ends after Limits::quiet
//   a new source, and Limits::most_conversations          the one that has been quiet longest ends
//   the service is not there                              datagrams are refused (below)
//   the service refuses a datagram (ICMP)                 the loop looks at the services at once
//
// The two spans are those of the kernel's connection tracking (nf_conntrack-sysctl: udp_timeout, udp_timeout_stream), so
// that a conversation lives as long here as on the native path. As there, and with UDP in general, a datagram that finds
// no room is dropped without a word.
//
// True refusal. A UDP socket that is connected takes datagrams of its peer alone, and the kernel answers others with
// "port unreachable", as for a port that nobody has. So the socket is connected with its own address, whose port nobody
// else can have, while the service is not there, and disconnected again (connect(2) with AF_UNSPEC, which keeps the port)
// when it is.
//
// A socket that is bound to a device. Disconnecting forgets the device, which is then set again, by its number: its name
// may be another interface's by now. In between the socket takes what comes in anywhere, so each datagram is asked
// where it came in (IP_PKTINFO), and only that device's count. Answers leave with the address that the source has
// asked, as the socket is bound to that.
#pragma once

#include "core/fd.hpp"
#include "path/relay/counters.hpp"
#include "path/relay/peers.hpp"
#include "path/relay/service.hpp"
#include "path/relay/source.hpp"

#include <sys/socket.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <span>
#include <string>

namespace hostnet::relay {

/// For tests; the values of the product are the defaults.
struct DatagramLimits {
  std::size_t most_conversations = 4096;
  std::chrono::milliseconds unanswered{30'000};
  std::chrono::milliseconds quiet{120'000};
};

/// Used by the loop's thread.
class Datagrams final : public Source {
 public:
  using Clock = std::chrono::steady_clock;

  /// What it shares with the loop; outlives it.
  struct Place {
    int epoll = -1;
    std::span<char> buffer;        ///< For one datagram at a time, of any size.
    Clock::time_point& next_look;  ///< At the services; set to an earlier time when one has gone.
  };

  /// `socket`: non-blocking, bound to a port by its number. Refuses until look(). Without `peers` it serves
  /// every source. @throws Error.
  Datagrams(Place place, Fd socket, Service service, std::shared_ptr<Counters> counters,
            std::shared_ptr<Peers> peers, DatagramLimits limits);
  Datagrams(const Datagrams&) = delete;
  Datagrams& operator=(const Datagrams&) = delete;
  ~Datagrams();

  [[nodiscard]] const Service& service() const noexcept { return service_; }
  void on_events(std::uint32_t events) override;
  /// `there`: whether the service takes datagrams now. Also ends what has been quiet for too long.
  void look(bool there);
  /// Its peers are known now.
  void resume() { read_on(); }
  /// Frees what has ended. Call when no event that epoll_wait(2) has returned is left.
  void sweep() { ended_.clear(); }

 private:
  struct Conversation final : Source {
    Conversation(Datagrams& of, std::string source, Fd connected)
        : owner(of), peer(std::move(source)), socket(std::move(connected)) {}
    void on_events(std::uint32_t) override { owner.answer(*this); }

    Datagrams& owner;
    const std::string peer;  // a socket address, byte for byte
    Fd socket;               // empty once it has ended
    Clock::time_point last = Clock::now();
    bool answered = false;
    std::list<Conversation>::iterator place;
  };

  void refuse();
  void accept();
  void read_on();
  void take(const std::string& peer, std::span<const char> datagram);
  [[nodiscard]] bool admits(const std::string& peer) const;
  Conversation* conversation_with(const std::string& peer);
  Conversation* begin(const std::string& peer);
  void pass_on(Conversation& conversation, std::span<const char> datagram);
  void answer(Conversation& conversation);
  void end(Conversation& conversation);
  void end_longest_quiet();

  Place place_;
  Fd socket_;
  const Service service_;
  std::shared_ptr<Counters> counters_;
  std::shared_ptr<Peers> peers_;  // null: every source
  const DatagramLimits limits_;
  int device_;       // the number of the interface that the socket is bound to; 0: none
  std::string own_;  // its address, byte for byte
  bool accepts_ = true;
  bool reads_ = false;  // whether epoll reports its datagrams
  bool warned_ = false;
  std::list<Conversation> conversations_;
  std::list<Conversation> ended_;
  std::map<std::string, Conversation*> by_peer_;
};

}  // namespace hostnet::relay
