// Settings of the administrator, from a file or from options.
#pragma once

#include "daemon/quota.hpp"
#include "hostnet/firewall.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace hostnet::daemon {

/// The configuration file of the installed program.
inline constexpr const char* kConfigFile = HOSTNET_SYSCONFDIR "/tc-hostnet/hostnetd.conf";

struct Config {
  /// Patterns of interface names (fnmatch(3)): the bridges to which users may expose ports.
  std::vector<std::string> allow_interface{"docker0", "br-*", "podman*", "cni-*", "nerdctl*"};
  Limits limits;
  std::chrono::seconds idle_timeout{
      30};                  ///< The daemon exits after this time without a lease or request; 0: never.
  std::string runtime_dir;  ///< As in ExposerOptions.
  Firewall firewall = Firewall::automatic;  ///< As in ExposerOptions.
};

}  // namespace hostnet::daemon
