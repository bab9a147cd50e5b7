// Names of the error codes, and construction of errors.
#include "hostnet/error.hpp"

#include "core/advice.hpp"
#include "core/printable.hpp"

#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace hostnet {

const char* to_string(Errc code) noexcept {
  switch (code) {
    case Errc::failure:
      return "failure";
    case Errc::invalid_argument:
      return "invalid_argument";
    case Errc::no_path:
      return "no_path";
    case Errc::not_authorised:
      return "not_authorised";
    case Errc::interaction_required:
      return "interaction_required";
    case Errc::not_found:
      return "not_found";
    case Errc::not_listening:
      return "not_listening";
    case Errc::conflict:
      return "conflict";
    case Errc::quota_exceeded:
      return "quota_exceeded";
    case Errc::engine_unavailable:
      return "engine_unavailable";
    case Errc::engine_error:
      return "engine_error";
    case Errc::firewall_blocked:
      return "firewall_blocked";
    case Errc::timed_out:
      return "timed_out";
    case Errc::state_corrupt:
      return "state_corrupt";
    case Errc::port_not_exposed:
      return "port_not_exposed";
  }
  return "failure";
}

Error::Error(Errc code, const std::string& message, std::string hint, int sys_errno)
    : std::runtime_error(printable(message)),
      code_(code),
      hint_(advice_for(::geteuid(), printable(hint))),
      sys_errno_(sys_errno) {}

Error Error::from_errno(std::string_view what, int sys_errno) {
  const bool denied = sys_errno == EPERM || sys_errno == EACCES;
  return {denied ? Errc::not_authorised : Errc::failure,
          std::string(what) + ": " + std::generic_category().message(sys_errno),
          denied ? "run it as root" : "", sys_errno};
}

Error Error::in_context(std::string_view frame) const {
  return {code_, std::string(frame) + ": " + what(), hint_, sys_errno_};
}

}  // namespace hostnet
