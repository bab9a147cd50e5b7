// What an administrator may set, in a file or by options.
#pragma once

#include "daemon/quota.hpp"
#include "hostnet/firewall.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace hostnet::daemon {

/// The file, where the program has been installed.
inline constexpr const char* kConfigFile = HOSTNET_SYSCONFDIR "/tc-hostnet/hostnetd.conf";

struct Config {
  /// Patterns of interface names (fnmatch(3)): the bridges that may be exposed to.
  std::vector<std::string> allow_interface{"docker0", "br-*", "podman*", "cni-*", "nerdctl*"};
  Limits limits;
  std::chrono::seconds idle_timeout{
      30};                  ///< Without a lease and a request for so long, the daemon ends; 0: never.
  std::string runtime_dir;  ///< As in ExposerOptions.
  Firewall firewall = Firewall::automatic;  ///< Likewise.
};

}  // namespace hostnet::daemon
