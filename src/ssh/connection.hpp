// One connection of a container, joined to a service of the host: a channel on one side, a socket on the
// other.
#pragma once

#include "core/fd.hpp"
#include "ssh/libssh.hpp"
#include "ssh/pump.hpp"

#include <cstdint>
#include <string>

namespace hostnet::ssh {

/// Belongs to its pump, in whose thread everything happens.
class Connection {
 public:
  /// Takes the channel over and registers its callbacks. @throws Error{failure}.
  Connection(Pump& pump, const Service& service, Dial dialled, ssh_channel channel);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// The service's socket has events.
  void on_socket(std::uint32_t events);
  /// Goes on where there was no window, or where libssh took no more. Returns whether it is free again.
  bool unblock();
  /// Ends both sides at once; a service that is still connected gets a reset.
  void cut();
  [[nodiscard]] bool ended() const noexcept { return ended_; }

 private:
  static int on_data(ssh_session, ssh_channel, void* data, std::uint32_t length, int is_stderr, void* self);
  static void on_eof(ssh_session, ssh_channel, void* self);
  static void on_close(ssh_session, ssh_channel, void* self);

  void finish_dial();
  void read_service();
  bool write_channel(const std::uint8_t* data, std::size_t length);
  void deliver_buffered();
  std::size_t write_service(const void* data, std::size_t length);
  void settle();
  void end(bool reset);
  void watch();

  Pump& pump_;
  const Service& service_;
  Fd socket_;
  ssh_channel channel_;
  ssh_channel_callbacks_struct callbacks_{};
  std::string unsent_;          // read from the service, not taken by libssh yet (it is exchanging keys)
  std::string undelivered_;     // taken from libssh, not taken by the service yet
  std::size_t buffered_ = 0;    // bytes that libssh keeps for the service
  std::uint32_t interest_ = 0;  // as epoll knows it
  bool pending_;                // the dial is not over
  bool blocked_ = false;        // on the pump's list
  bool service_eof_ = false;    // the service sends no more
  bool channel_eof_ = false;    // the container sends no more
  bool channel_closed_ = false;
  bool write_shut_ = false;  // the container's end of file was passed on
  bool ended_ = false;
};

}  // namespace hostnet::ssh
