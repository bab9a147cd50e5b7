// The one place that maps errors to exit codes.
#pragma once

#include "hostnet/error.hpp"

namespace hostnet::cli {

/// Part of the command's interface: never changes.
///
///   0  ok                  3  no usable path        6  not found
///   1  failure             4  not authorised        7  not listening
///   2  usage               5  needs interaction     8  conflict or quota
constexpr int exit_code(Errc code) {
  switch (code) {
    case Errc::invalid_argument:
      return 2;
    case Errc::no_path:
    case Errc::engine_unavailable:
    case Errc::firewall_blocked:
      return 3;
    case Errc::not_authorised:
      return 4;
    case Errc::interaction_required:
      return 5;
    case Errc::not_found:
    case Errc::port_not_exposed:
      return 6;
    case Errc::not_listening:
      return 7;
    case Errc::conflict:
    case Errc::quota_exceeded:
      return 8;
    case Errc::failure:
    case Errc::engine_error:
    case Errc::timed_out:
    case Errc::state_corrupt:
      return 1;
  }
  return 1;
}

/// Plus the number of the signal that ended the command, as in a shell: 130 for SIGINT, 143 for SIGTERM.
constexpr int kKilled = 128;

}  // namespace hostnet::cli
