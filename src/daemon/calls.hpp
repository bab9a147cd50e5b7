// Method calls that wait for their answer.
//
//   state      event                              next
//   open       open(): caller identified,         first step; most calls post a job to a worker
//              quota place taken
//   working    worker's result: resume()          authorise(): allow, ask or deny
//   asking     polkit grants: resume()            next step; most calls post the job that acts
//   asking     polkit refuses, or no answer for   closed, answered with the refusal
//              10 minutes (Bouncer)
//   acting     worker's result: resume()          close(), answered with the result
//   any        a step throws                      closed, answered with the exception
//   any        the caller leaves: leave()         closed without an answer; Call::left tells the worker, and
//                                                 an open prompt is withdrawn
//   any        the daemon stops: refuse()         closed, answered with the error; likewise
//
// Default bounds per user (quota.hpp): 64 open calls, 4 of them asking; none for root. Deadlines bound a job.
#pragma once

#include "daemon/bouncer.hpp"
#include "daemon/callers.hpp"
#include "daemon/quota.hpp"
#include "daemon/sdbus.hpp"

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
  bool may_ask = false;                           ///< Whether polkit may prompt the user for a password.
  std::function<void(const sdbus::Error&)> fail;  ///< Answers the call with an error.
  std::string interface;                          ///< The network's, once known; for the log.
  std::string ports;                              ///< For the log.
  std::optional<Action> asked;                    ///< Asked of polkit.
  std::optional<Action> granted;                  ///< Granted by polkit.
  std::uint64_t question = 0;                     ///< The open polkit question; 0: none.
  Quota::Share place;
  Quota::Share prompt;
  std::shared_ptr<std::atomic<bool>> left = std::make_shared<std::atomic<bool>>(false);  ///< Caller left.
};

/// Not thread-safe: use on the connection's loop.
class Calls {
 public:
  using Continuation = std::function<void()>;

  Calls(Bouncer& bouncer, Quota& quota) : bouncer_(bouncer), quota_(quota) {}
  Calls(const Calls&) = delete;
  Calls& operator=(const Calls&) = delete;
  /// Sets Call::left for all open calls.
  ~Calls();

  /// Identifies the caller and takes the first step.
  void open(const sdbus::Message& message, std::function<void(const sdbus::Error&)> fail,
            const std::function<void(const std::shared_ptr<Call>&)>& first);
  /// Takes the next step unless the call has ended. Answers the call with what the step throws.
  void resume(const std::shared_ptr<Call>& call, const Continuation& step);
  /// Decides with daemon::authorise(). Takes the next step at once or when polkit grants it.
  /// @throws Error, sdbus::Error when the call is denied.
  void authorise(const std::shared_ptr<Call>& call, const Facts& facts, const Details& details,
                 Continuation next);
  /// Removes an answered call.
  void close(Call& call);

  /// Ends the calls of a connection that has left.
  void leave(const std::string& name);
  /// Ends all calls with that error.
  void refuse(const sdbus::Error& error);

  [[nodiscard]] bool empty() const noexcept { return calls_.empty(); }
  /// The number of calls so far.
  [[nodiscard]] std::uint64_t count() const noexcept { return last_number_; }

 private:
  void ask(const std::shared_ptr<Call>& call, const Ruling& ruling, const Details& details,
           Continuation granted);

  Bouncer& bouncer_;
  Quota& quota_;
  std::uint64_t last_number_ = 0;
  std::map<std::uint64_t, std::shared_ptr<Call>> calls_;
};

/// Logs the grant, with what was granted: "lease 12ab34cd".
void record_grant(const Call& call, std::string what);

/// @throws Error{not_authorised} when the decision is deny.
void check_not_denied(const Ruling& decision);

}  // namespace hostnet::daemon
