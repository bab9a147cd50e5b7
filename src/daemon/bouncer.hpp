// The helper's authorisation table: the one place that decides which caller may do what.
//
// Each request passes authorise() before polkit is asked and again before the daemon acts. authorise() is
// pure: it maps facts that the daemon found itself to a verdict.
//
//   method    facts                                             verdict   polkit action
//   Expose    caller is root                                    allow     –
//   Expose    every port >= 1024 and served by the caller       ask       expose-own
//             alone; lifetime not persistent
//   Expose    anything else                                     ask       expose-foreign
//   Release   caller is root or owns the lease                  allow     –
//   Release   another user's lease                              ask       release-any
//   Probe     –                                                 allow     –
//   any       facts missing, or method not in the table         deny      –
//
//   "ask" with an action granted before: allow if that action covers the needed one, else deny. A call asks
//   polkit once.
//
//   question  event                          next
//   open      polkit answers                 Reply with yes, no or must_ask
//   open      polkit fails, or 10 minutes    Reply with unavailable
//             pass (kPatience)
//   open      cancel()                       gone; Reply is not called, polkit closes the prompt
//
// Exposing has two actions because polkit's auth_admin_keep remembers the action and not its details: a grant
// for a harmless request must not cover a riskier one.
#pragma once

#include "daemon/request.hpp"
#include "daemon/sdbus.hpp"
#include "lease/checks.hpp"
#include "netlink/sock_diag.hpp"

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::daemon {

/// A caller, as identified by the bus.
struct Caller {
  std::string name;  ///< Unique bus name.
  uid_t uid = 0;     ///< Effective.
  pid_t pid = 0;     ///< For display only: the pid may belong to another process by now.
};

enum class Action : std::uint8_t { expose_own, expose_foreign, release_any };

/// "io.github.tchostnet.hostnet1.expose-own" and so on.
const char* id_of(Action action) noexcept;

/// Whether the granted action also permits the needed one. Pure.
bool covers(Action granted, Action needed) noexcept;

/// For each requested port, the uids of all sockets that a connection to its address may reach.
using ListenerUids = std::vector<std::vector<uid_t>>;
ListenerUids listeners_of(const std::vector<HostPort>& ports, exposer::Listeners& listeners);
ListenerUids listeners_of(const std::vector<HostPort>& ports);
/// Whether each port still has a listener of a user who listened on it then. Pure.
bool are_served_still(const ListenerUids& then, const ListenerUids& now);
/// Whether a user other than `owner` listens on any of the ports. Pure.
bool another_listens(const ListenerUids& now, uid_t owner);

/// The action that polkit must grant; nullopt when the caller needs none. Pure.
std::optional<Action> decide(const Caller& caller, const Request& request, const ListenerUids& listeners);
/// Why that is expose_foreign: the first port, or the lifetime, that the caller may not expose as his own. Pure.
std::string why_foreign(const Caller& caller, const Request& request, const ListenerUids& listeners);
/// The same as decide() for releasing a lease of `owner`.
std::optional<Action> decide_release(const Caller& caller, uid_t owner);

/// A method, as named in the message.
struct Method {
  std::string interface;
  std::string member;
};

/// The facts that a decision depends on; each method needs its own subset.
struct Facts {
  const Request* request = nullptr;
  const ListenerUids* listeners = nullptr;  ///< Of the request's ports.
  std::optional<uid_t> lease_owner = {};
};

struct Ruling {
  enum class Verdict : std::uint8_t { deny, ask, allow };
  Verdict verdict = Verdict::deny;
  /// The action that would permit the call; with deny, nullopt when no action would.
  std::optional<Action> action = {};
  /// Why it takes this action and not a lesser one, for the refusal; empty if there is no lesser one.
  std::string why = {};
};

/// Decides a call. `granted` is what polkit has granted for this call so far: if it does not cover the action
/// needed now, the call is denied and polkit is not asked again. Pure.
Ruling authorise(const Method& method, const Caller& caller, const Facts& facts,
                 std::optional<Action> granted = {});

/// Details for polkit's prompt, which renders them as markup: only the daemon's own wording, numbers and
/// checked interface names.
using Details = std::map<std::string, std::string>;
Details details_of(const Request& request, const std::string& interface);

enum class Answer : std::uint8_t {
  yes,
  no,           ///< Denied, or the user dismissed the prompt.
  must_ask,     ///< Needs a prompt, but the caller allows none or its session has no polkit agent.
  unavailable,  ///< polkit does not answer.
};

/// Asks polkitd asynchronously. Not thread-safe; bound to one connection's loop.
class Bouncer {
 public:
  explicit Bouncer(sdbus::IConnection& connection);

  using Reply = std::function<void(Answer)>;
  /// Calls `reply` once, from the loop, unless cancelled. Returns the question's number.
  std::uint64_t ask(Action action, const Caller& caller, const Details& details, bool interactive,
                    Reply reply);
  /// Closes the prompt. The question's reply is not called.
  void cancel(std::uint64_t question);

 private:
  void answered(std::uint64_t question, sdbus::MethodReply& reply, const sdbus::Error* error);

  std::unique_ptr<sdbus::IProxy> polkit_;
  std::map<std::uint64_t, Reply> open_;
  std::uint64_t last_ = 0;
};

}  // namespace hostnet::daemon
