// The library's exception: a stable code, one line that says what failed and why, and a hint.
#pragma once

#include "hostnet/export.hpp"

#include <stdexcept>
#include <string>
#include <string_view>

namespace hostnet {

/// Reasons for failure. A code keeps its value and meaning; later versions may add codes at the end.
enum class Errc {
  failure,               ///< A system call or stage failed without a code of its own.
  invalid_argument,      ///< The request is wrong: port 0, a malformed name, contradicting options.
  no_path,               ///< No path (native, helper, ssh, relay) can serve the request on this machine.
  not_authorised,        ///< The caller lacks the privilege.
  interaction_required,  ///< Authorisation needs a prompt, and the caller allows none.
  not_found,             ///< The network, container, bridge or lease does not exist.
  not_listening,         ///< The request requires a listener, and the host port has none.
  conflict,              ///< The port is taken, or the user defines the alias.
  quota_exceeded,        ///< The caller holds the maximum number of leases or ports.
  engine_unavailable,    ///< No container engine answers on its socket.
  engine_error,          ///< The engine answered with an error or with nonsense.
  firewall_blocked,      ///< A firewall rule that the library must not override drops the traffic.
  timed_out,             ///< The deadline passed.
  state_corrupt,         ///< The journal of leases is unreadable.
  port_not_exposed,      ///< The container port is not published on the host.
};

/// The stable lower-case name of a code, such as "not_found". Never null.
HOSTNET_EXPORT const char* to_string(Errc code) noexcept;

/// Every failure of the library. Copyable; any thread may read it. Other exceptions are std::bad_alloc and
/// those of the caller's own callbacks.
///
/// what() is one line without a full stop at its end: what failed, and why. hint() is the next step for a
/// person, or empty. Both are valid UTF-8 and safe for a terminal: control, format and other invisible
/// characters from names or engine messages appear as `\xNN`, `\uNNNN` or `\UNNNNNNNN`.
class HOSTNET_EXPORT Error : public std::runtime_error {
 public:
  /// `sys_errno`: errno of the failed call, or 0.
  Error(Errc code, const std::string& message, std::string hint = {}, int sys_errno = 0);

  /// "<what>: <strerror>" with code not_authorised for EPERM and EACCES, else failure.
  static Error from_errno(std::string_view what, int sys_errno);

  /// The same error with "<frame>: " before its message.
  [[nodiscard]] Error in_context(std::string_view frame) const;

  /// The reason, for programs.
  [[nodiscard]] Errc code() const noexcept { return code_; }
  /// The next step for a person, one line; empty when there is none.
  [[nodiscard]] const std::string& hint() const noexcept { return hint_; }
  /// errno of the failed call, or 0.
  [[nodiscard]] int sys_errno() const noexcept { return sys_errno_; }

 private:
  Errc code_;
  std::string hint_;
  int sys_errno_;
};

}  // namespace hostnet
