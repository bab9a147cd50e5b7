// A server and a client over real sockets, bounded in time.
#pragma once

#include "core/fd.hpp"
#include "core/ipv4.hpp"
#include "support/netns.hpp"
#include "support/sockets.hpp"

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

namespace test {

/// Greets each connection to a listening socket (or each sender to a UDP socket), then echoes. One thread.
class Service {
 public:
  /// With `chatter`, it also sends "." to every connection at that interval.
  Service(hostnet::Fd socket, std::string greeting, std::chrono::milliseconds chatter = {});
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;
  ~Service();

  /// Connections accepted or datagrams received.
  [[nodiscard]] int visits() const { return visits_; }

 private:
  void serve(std::chrono::milliseconds chatter);

  hostnet::Fd socket_;
  hostnet::Fd stop_;
  std::string greeting_;
  std::atomic<int> visits_ = 0;
  std::thread thread_;
};

/// A service on 127.0.0.1:`port` in the calling thread's namespace.
inline hostnet::Fd loopback(std::uint16_t port, int type = SOCK_STREAM) {
  return listen_on({ip("127.0.0.1"), port}, type);
}

/// The first words received, or "(refused)", "(silence)", "(unreachable)", "(reset)", "(closed)".
std::string dial(const NetNs& from, hostnet::Endpoint to, int type = SOCK_STREAM,
                 std::chrono::milliseconds patience = std::chrono::milliseconds{400});

/// A connection from that namespace, with the greeting already read.
hostnet::Fd join(const NetNs& from, hostnet::Endpoint to);

/// Whether the service at the other end still echoes.
bool goes_on(const hostnet::Fd& connection);

/// "(reset)" or "(closed)" when the connection ends within `patience`, else "(alive)".
std::string end_of(const hostnet::Fd& connection, std::chrono::milliseconds patience);

}  // namespace test
