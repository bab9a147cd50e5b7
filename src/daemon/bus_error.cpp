// Maps errors, causes and polkit answers to D-Bus errors and reasons.
#include "daemon/bus_error.hpp"

#include "core/printable.hpp"
#include "dbus/names.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

namespace hostnet::daemon {

sdbus::Error bus_error(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const sdbus::Error& error) {
    return error;
  } catch (const Error& error) {
    const auto text =
        error.hint().empty() ? std::string(error.what()) : fmt::format("{}; {}", error.what(), error.hint());
    return named_error(dbus::error_name(error.code()), text);
  } catch (const std::exception& error) {
    return named_error(dbus::error_name(Errc::failure), printable(error.what()));
  } catch (...) {
    return named_error(dbus::error_name(Errc::failure), "an exception of an unknown type");
  }
}

sdbus::Error refusal(Answer answer, Action action, const std::string& why) {
  const auto what = why.empty() ? std::string(id_of(action)) : fmt::format("{} ({})", id_of(action), why);
  switch (answer) {
    case Answer::must_ask:
      return named_error(
          dbus::kInteractionRequired,
          fmt::format(
              "{} requires authentication, but no prompt can be shown; an administrator can allow it with "
              "a rule in /etc/polkit-1/rules.d",
              what));
    case Answer::unavailable:
      return named_error(dbus::kAccessDenied,
                         "polkit does not answer; without it the helper serves only root");
    default:
      return named_error(
          dbus::kAccessDenied,
          fmt::format("{} was refused; an administrator can allow it with a rule in /etc/polkit-1/rules.d",
                      what));
  }
}

const char* reason_of(exposer::Cause cause) noexcept {
  using exposer::Cause;
  namespace reason = dbus::reason;
  switch (cause) {
    case Cause::owner_gone:
    case Cause::interrupted:
      return reason::kOwnerGone;
    case Cause::expired:
      return reason::kExpired;
    case Cause::bridge_gone:
      return reason::kInterfaceGone;
    case Cause::container_stopped:
      return reason::kContainerGone;
    case Cause::revoked:
      return reason::kRevoked;
    case Cause::not_kept:
      return reason::kFailed;
  }
  return reason::kFailed;
}

}  // namespace hostnet::daemon
