// One connection of a container, joined to a service of the host: a channel on one side, a socket on the
// other.
//
// Its life: joined → ended (the service's socket is closed) → close sent (the sidecar hears that the channel
// is closed) → freed, when the sidecar has closed its end, too. sshd does that after it has delivered
// everything to the container, so whoever waits for it loses nothing.
#pragma once

#include "core/fd.hpp"
#include "path/ssh/libssh.hpp"
#include "path/ssh/pump.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace hostnet::ssh {

/// Belongs to its pump, in whose thread everything happens. Callbacks of libssh send nothing: a flush within
/// a callback could leave libssh with a wrong idea of whether the session's socket takes more, and that is
/// fatal to the session.
class Connection {
 public:
  /// Takes the channel over and registers its callbacks. @throws Error{failure}; the channel is the caller's
  /// then.
  Connection(Pump& pump, const Service& service, Dial dialled, ssh_channel channel);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// The service's socket has events.
  void on_socket(std::uint32_t events);
  /// Goes on where there was no window, or where libssh took no more. Returns whether it is free again.
  bool unblock();
  /// Ends both sides at once; a service that is still connected gets a reset.
  void cut() { end(true); }
  /// Passes on the ends that have been reached, once all that came before them has been delivered.
  void settle();
  /// Closes the channel; once, after the end.
  void send_close();
  [[nodiscard]] bool ended() const noexcept { return ended_; }

 private:
  static int on_data(ssh_session, ssh_channel, void* data, std::uint32_t length, int is_stderr, void* self);
  static void on_eof(ssh_session, ssh_channel, void* self);
  static void on_close(ssh_session, ssh_channel, void* self);

  void finish_dial();
  void read_service();
  void write_channel(std::span<const std::uint8_t> data);
  void deliver();
  std::size_t write_service(std::span<const std::uint8_t> data);
  [[nodiscard]] std::span<const std::uint8_t> undelivered() const;
  [[nodiscard]] bool all_delivered() const { return buffered_ == 0 && undelivered().empty() && !pending_; }
  void end(bool reset);
  void watch();
  void block();

  Pump& pump_;
  const Service& service_;
  Fd socket_;
  ssh_channel channel_;
  ssh_channel_callbacks_struct callbacks_{};
  std::string unsent_;  // read from the service, not taken by libssh yet: it exchanges keys
  std::unique_ptr<std::uint8_t[]> undelivered_;  // taken from libssh, not taken by the service yet …
  std::size_t undelivered_start_ = 0;            // … from here
  std::size_t undelivered_end_ = 0;              // … to here
  std::size_t buffered_ = 0;                     // bytes that libssh keeps for the service
  std::size_t reckoned_ = 0;                     // this connection's share of the pump's sum
  std::uint32_t interest_ = 0;                   // as epoll knows it
  bool pending_;                                 // the dial is not over
  bool blocked_ = false;                         // on the pump's list
  bool deaf_ = false;                            // the service takes no more
  bool service_eof_ = false;                     // the service sends no more
  bool channel_eof_ = false;                     // the container sends no more
  bool channel_closed_ = false;
  bool write_shut_ = false;  // the container's end of file was passed on
  bool ended_ = false;
  bool close_sent_ = false;
};

}  // namespace hostnet::ssh
