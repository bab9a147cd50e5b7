// The one exception type of the library: a stable code, a sentence that says what and why, and the next step.
#pragma once

#include "hostnet/export.hpp"

#include <stdexcept>
#include <string>
#include <string_view>

namespace hostnet {

/// Stable reasons for failure. Names never change meaning; new ones may be added at the end.
enum class Errc {
  failure,               ///< An operating-system call failed in a way that has no name of its own.
  invalid_argument,      ///< The request itself is wrong: port 0, a malformed name, contradicting options.
  no_path,               ///< No path (native, helper, ssh) can serve the request on this machine.
  not_authorised,        ///< The caller lacks the privilege.
  interaction_required,  ///< Somebody would have to answer a prompt, and none may be shown.
  not_found,             ///< The network, container, bridge or lease does not exist.
  not_listening,         ///< A listener was demanded and nobody listens on the host port.
  conflict,              ///< Somebody else holds the port, or the alias is defined by the user.
  quota_exceeded,        ///< The caller holds as many leases or ports as it may.
  engine_unavailable,    ///< No container engine answers on its socket.
  engine_error,          ///< The engine answered, and the answer is an error or makes no sense.
  firewall_blocked,      ///< A host firewall that is not ours to override drops the traffic.
  timed_out,             ///< The deadline passed.
  state_corrupt,         ///< The journal of leases cannot be read.
  port_not_exposed,      ///< A container port was asked for that is not published on the host.
};

/// The stable lower-case name of a code, e.g. "not_found". Never null.
HOSTNET_EXPORT const char* to_string(Errc code) noexcept;

/// Thrown by everything in hostnet that fails. Copyable; safe to pass between threads.
///
/// what() is one line without a trailing full stop: what was attempted, and why it failed. hint() is the next
/// step for a person, or empty. Both are valid UTF-8 and safe for a terminal: control, format and other
/// invisible characters in the words of others are in them as `\xNN`, `\uNNNN` or `\UNNNNNNNN`.
class HOSTNET_EXPORT Error : public std::runtime_error {
 public:
  /// `sys_errno`: errno of the call that failed, 0 when there is none.
  Error(Errc code, const std::string& message, std::string hint = {}, int sys_errno = 0);

  /// Builds a `failure` (or not_authorised for EPERM/EACCES) from errno: "<what>: <strerror>".
  static Error from_errno(std::string_view what, int sys_errno);

  /// The same error with "<frame>: " before its message; the code, hint and errno are kept.
  [[nodiscard]] Error in_context(std::string_view frame) const;

  /// What kind of failure it is, for a program to decide by.
  [[nodiscard]] Errc code() const noexcept { return code_; }
  /// One line for a person: what to do next. Empty where nothing is known to help.
  [[nodiscard]] const std::string& hint() const noexcept { return hint_; }
  /// errno at the failing call, 0 where there was none.
  [[nodiscard]] int sys_errno() const noexcept { return sys_errno_; }

 private:
  Errc code_;
  std::string hint_;
  int sys_errno_;
};

}  // namespace hostnet
