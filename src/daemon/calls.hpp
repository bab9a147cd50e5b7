// Method calls that are not answered yet.
//
//   open → (worker looks) → resume → (polkit is asked) → resume → (worker acts) → resume → close
//
// Whatever a step throws is the call's answer, and its end. A caller that leaves ends its calls, in whatever
// step they are: a prompt is withdrawn, and what a worker is at is told by Call::left.
#pragma once

#include "daemon/bouncer.hpp"
#include "daemon/callers.hpp"
#include "daemon/quota.hpp"

#include <sdbus-c++/sdbus-c++.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace hostnet::daemon {

struct Call {
  std::uint64_t number = 0;
  std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now();
  Method method;
  Caller caller;
  bool may_ask = false;                           ///< Whether the user may be asked for a password.
  std::function<void(const sdbus::Error&)> fail;  ///< Answers it.
  std::string interface;                          ///< Of the network, once it is known, and
  std::string ports;                              ///< the ports: for the log.
  std::optional<Action> asked;                    ///< Of polkit.
  std::optional<Action> granted;                  ///< By polkit.
  std::uint64_t question = 0;                     ///< Put to polkit and not answered.
  Quota::Share place;
  Quota::Share prompt;
  std::shared_ptr<std::atomic<bool>> left = std::make_shared<std::atomic<bool>>(false);  ///< Nobody waits.
};

/// Not thread-safe: on the connection's loop.
class Calls {
 public:
  using Continuation = std::function<void()>;

  Calls(Bouncer& bouncer, Quota& quota) : bouncer_(bouncer), quota_(quota) {}
  Calls(const Calls&) = delete;
  Calls& operator=(const Calls&) = delete;
  /// Nobody waits any more.
  ~Calls();

  /// Finds out whose call it is, and takes the first step.
  void open(const sdbus::Message& message, std::function<void(const sdbus::Error&)> fail,
            const std::function<void(const std::shared_ptr<Call>&)>& first);
  /// Takes the next step, unless the call has ended.
  void resume(const std::shared_ptr<Call>& call, const Continuation& step);
  /// Decides, by authorise(): takes the next step at once or when polkit has granted it.
  /// @throws Error, sdbus::Error when it is denied.
  void authorise(const std::shared_ptr<Call>& call, const Facts& facts, const Details& details,
                 Continuation next);
  /// It has been answered.
  void close(Call& call);

  /// Ends the calls of a connection.
  void leave(const std::string& name);
  /// Ends all, with that answer.
  void refuse(const sdbus::Error& error);

  [[nodiscard]] bool empty() const noexcept { return calls_.empty(); }
  /// How many there have been.
  [[nodiscard]] std::uint64_t count() const noexcept { return last_number_; }

 private:
  void ask(const std::shared_ptr<Call>& call, Action action, const Details& details, Continuation granted);

  Bouncer& bouncer_;
  Quota& quota_;
  std::uint64_t last_number_ = 0;
  std::map<std::uint64_t, std::shared_ptr<Call>> calls_;
};

/// Logs that a call was granted, and as what: "lease 12ab34cd".
void record_grant(const Call& call, std::string what);

/// @throws Error{not_authorised} for a decision to deny.
void check_not_denied(const Ruling& decision);

}  // namespace hostnet::daemon
