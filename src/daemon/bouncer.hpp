// Who may do what: the one place of the helper where that is decided.
//
// Each method call passes authorise(), before polkit is asked and again after: a method that is not in its
// table is denied, and so is one about which the facts are missing. It is pure: from facts that the daemon
// found out itself to "yes" or to the polkit action that has to say yes. The two actions for exposing are
// apart because polkit's auth_admin_keep remembers an action and not its details: what was granted for a
// harmless request must not carry a riskier one.
#pragma once

#include "daemon/request.hpp"
#include "lease/checks.hpp"
#include "netlink/sock_diag.hpp"

#include <sdbus-c++/IConnection.h>
#include <sdbus-c++/IProxy.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::daemon {

/// A caller as the bus vouches for it.
struct Caller {
  std::string name;  ///< Unique bus name.
  uid_t uid = 0;     ///< Effective.
  pid_t pid = 0;     ///< For people; it may be another process's by now.
};

enum class Action : std::uint8_t { expose_own, expose_foreign, release_any };

/// "io.github.tchostnet.hostnet1.expose-own" and so on.
const char* id_of(Action action) noexcept;

/// Whether `granted` covers what has since turned out to need `needed`. Pure.
bool covers(Action granted, Action needed) noexcept;

/// Who listens on one of the ports asked for: the uids of all sockets that a connection to 127.0.0.1 may
/// reach.
using ListenerUids = std::vector<std::vector<uid_t>>;
ListenerUids listeners_of(const std::vector<HostPort>& ports, exposer::Listeners& listeners);
ListenerUids listeners_of(const std::vector<HostPort>& ports);
/// Whether each port has a listener now of a user who had one there then. Pure.
bool are_served_still(const ListenerUids& then, const ListenerUids& now);
/// Whether another user than that one listens on any of the ports. Pure.
bool another_listens(const ListenerUids& now, uid_t owner);

/// The action that must be granted, or nullopt when the caller may without asking. Pure.
std::optional<Action> decide(const Caller& caller, const Request& request, const ListenerUids& listeners);
/// The same for the release of a lease of `owner`.
std::optional<Action> decide_release(const Caller& caller, uid_t owner);

/// A method, as the message names it.
struct Method {
  std::string interface;
  std::string member;
};

/// What a decision about a call depends on; each method has its own part of it.
struct Facts {
  const Request* request = nullptr;
  const ListenerUids* listeners = nullptr;  ///< Of the request's ports.
  std::optional<uid_t> lease_owner = {};
};

struct Ruling {
  enum class Verdict : std::uint8_t { deny, ask, allow };
  Verdict verdict = Verdict::deny;
  /// What would have to be granted; with deny, nullopt when nothing would help.
  std::optional<Action> action = {};
};

/// The decision about a call, given what polkit has granted for it already, if anything: with a grant that
/// does not cover what the facts take now the call is denied, and nothing is asked twice. Pure.
Ruling authorise(const Method& method, const Caller& caller, const Facts& facts,
                 std::optional<Action> granted = {});

/// What the prompt may show, in polkit's form. All of it is the daemon's own wording of numbers and of
/// interface names that were checked: a prompt shows it as markup.
using Details = std::map<std::string, std::string>;
Details details_of(const Request& request, const std::string& interface);

enum class Answer : std::uint8_t {
  yes,
  no,        ///< Denied, or the prompt was dismissed.
  must_ask,  ///< It would take a prompt, and none may be shown, or the caller's session has no agent to show
             ///< it.
  unavailable,  ///< polkit does not answer.
};

/// Asks polkitd, without waiting. Not thread-safe; lives on one connection's loop.
class Bouncer {
 public:
  explicit Bouncer(sdbus::IConnection& connection);

  using Reply = std::function<void(Answer)>;
  /// Calls back once, from the loop, unless cancelled. The number names the question.
  std::uint64_t ask(Action action, const Caller& caller, const Details& details, bool interactive,
                    Reply reply);
  /// The prompt goes away and nobody is called back.
  void cancel(std::uint64_t question);

 private:
  void answered(std::uint64_t question, sdbus::MethodReply& reply, const sdbus::Error* error);

  std::unique_ptr<sdbus::IProxy> polkit_;
  std::map<std::uint64_t, Reply> open_;
  std::uint64_t last_ = 0;
};

}  // namespace hostnet::daemon
