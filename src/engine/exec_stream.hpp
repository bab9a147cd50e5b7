// A command in a container, with its standard input and output as a socket here: a byte stream to a server in
// the container (sshd -i) that needs nothing but the engine's API.
//
//   thread     event                                             next
//   opening    the engine has started the command                carrying
//   opening    any error, or the deadline                        over
//   carrying   bytes from either side                            carrying; to the other side, 64 KiB at most
//   carrying   this side closes its socket; the destructor       over: the command's input ends
//   carrying   the engine ends the stream                        over, once the last bytes are delivered
//
// Neither direction waits for the other: each has a buffer, and a side is read only while its buffer is empty.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "engine/containers.hpp"

#include <atomic>
#include <mutex>
#include <string>
#include <thread>

namespace hostnet::engine {

class ExecStream {
 public:
  /// Returns at once; the socket can be used at once. `deadline` bounds the opening.
  /// @throws Error{failure} without a thread or a descriptor.
  ExecStream(Address engine, std::string container, ExecSpec spec, Deadline deadline);
  ExecStream(const ExecStream&) = delete;
  ExecStream& operator=(const ExecStream&) = delete;
  /// Ends the stream. Waits for an opening in progress.
  ~ExecStream();

  /// This side's end, once: a stream socket, non-blocking. At its end of file the stream is over.
  Fd take_socket() { return std::move(theirs_); }
  [[nodiscard]] bool is_over() const noexcept { return over_; }
  /// Why it could not be opened, else the last line of the command's standard error; may be empty.
  [[nodiscard]] std::string words() const;

 private:
  void run(Deadline deadline);
  void carry(OpenStream stream);
  void say(std::string_view piece);

  const Address engine_;
  const std::string container_;
  const ExecSpec spec_;
  Fd ours_;
  Fd theirs_;
  std::atomic<bool> over_ = false;
  mutable std::mutex mutex_;
  std::string words_;    // guarded by mutex_
  std::jthread thread_;  // last: it uses the members above
};

}  // namespace hostnet::engine
