// How commands that make something, and undo it at their end, hear of the signals that end them.
#pragma once

#include "core/fd.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <thread>

namespace hostnet::cli {

/// A descriptor that is readable after SIGINT, SIGTERM or SIGHUP. Blocks them, so that only it gets them: call it before
/// the first thread, since threads inherit the mask. Ignores SIGPIPE from now on: a reader that closes its end must not
/// prevent the release at the end. @throws Error{failure}
Fd stop_signals();

/// Reads those signals in a thread of its own, which bounds how long the command goes on after the first of them:
///
///   phase       event                                        next
///   ----------  -------------------------------------------  -------------------------------------------------------
///   setting_up  a signal                                     ending; requests to engines fail, except those that undo
///   standing    a signal                                     ending
///   ending      an engine answers                            ending; kEngineAtStop begins anew
///   ending      no answer for kEngineAtStop                  ending; requests to engines time out
///   ending      set-up waits for kUnwinding for anything     exit: one line, and the next command finishes what is left
///               but an engine (a lock, a prompt)
///   ending      another signal, kOneSignal after the first   exit, as above
class StopSignals {
 public:
  enum class Phase : std::uint8_t { setting_up, standing, ending };

  /// Calls stop_signals(), with what follows from that.
  explicit StopSignals(Phase first);
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  /// The signals stay blocked; the next ones are for another reader. Requests to engines have their own limits again.
  ~StopSignals();

  /// Readable from the first signal on.
  [[nodiscard]] int fd() const noexcept { return came_.get(); }
  /// The first signal; 0 if none has come.
  [[nodiscard]] int number() const noexcept { return number_; }
  /// The set-up is done. Returns false if a signal came before.
  [[nodiscard]] bool stand();

 private:
  void listen();
  void hear();

  Fd signals_;
  Fd came_;
  Fd leave_;
  std::mutex mutex_;  // guards phase_
  Phase phase_;
  std::chrono::steady_clock::time_point ends_since_;
  std::atomic<int> number_ = 0;
  bool unwinds_ = false;  // for the thread alone
  std::jthread thread_;   // last: the thread uses the members above
};

/// Says that the signal stopped the set-up. Returns the exit code, as a shell has it: 130 for SIGINT, 143 for SIGTERM.
int tell_stopped(int signal);

}  // namespace hostnet::cli
