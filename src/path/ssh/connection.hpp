// One connection of a container, joined to a service of the host: a channel on one side, a socket on the
// other.
//
//   state       event                                                 next
//   pending     the dial succeeds                                     joined
//   pending     the dial fails                                        ended
//   joined      both sides at end of file, all delivered              ended
//   joined      the sidecar closes the channel, all delivered         ended; resets a live service
//   joined      the service resets                                    ended
//   ended       the pump's next bury(): channel closed                close sent
//   close sent  the sidecar closes its end                            freed
//
// "ended" means that the service's socket is closed. sshd closes its end after it has delivered everything to
// the container, so waiting for it loses nothing.
#pragma once

#include "core/fd.hpp"
#include "path/ssh/libssh.hpp"
#include "path/ssh/pump.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace hostnet::ssh {

/// Belongs to its pump and runs only in its thread. Callbacks of libssh send nothing: a flush within a
/// callback could leave libssh with a wrong state of the session's socket, which is fatal to the session.
class Connection {
 public:
  /// Takes ownership of the channel and registers its callbacks. @throws Error{failure}; the channel is then
  /// still the caller's.
  Connection(Pump& pump, const Service& service, Dial dialled, ssh_channel channel);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Handles events of the service's socket.
  void on_socket(std::uint32_t events);
  /// Retries after a lack of window, or when libssh took no more. Returns whether it is no longer blocked.
  bool unblock();
  /// Ends both sides at once; a service that is still connected gets a reset.
  void cut() { end(true); }
  /// Passes on an end of file or a close, once everything before it is delivered.
  void settle();
  /// Closes the channel. Call once, after the end.
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
  std::string unsent_;  // read from the service, not taken by libssh yet (key exchange)
  std::unique_ptr<std::uint8_t[]> undelivered_;  // read from libssh, not taken by the service yet …
  std::size_t undelivered_start_ = 0;            // … from here
  std::size_t undelivered_end_ = 0;              // … to here
  std::size_t buffered_ = 0;                     // bytes that libssh holds for the service
  std::size_t reckoned_ = 0;                     // this connection's part of pump_.buffered_
  std::uint32_t interest_ = 0;                   // as registered with epoll
  bool pending_;                                 // the dial is in progress
  bool blocked_ = false;                         // in pump_.blocked_
  bool deaf_ = false;                            // the service takes no more
  bool service_eof_ = false;                     // the service sends no more
  bool channel_eof_ = false;                     // the container sends no more
  bool channel_closed_ = false;
  bool write_shut_ = false;  // the container's end of file is passed on
  bool ended_ = false;
  bool close_sent_ = false;
};

}  // namespace hostnet::ssh
