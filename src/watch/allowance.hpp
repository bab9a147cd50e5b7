// What `watch` lets a label have: who may start containers on an engine is not thereby an administrator of
// this host. Apart from the labels themselves (watch_plan.hpp); refused is what is not named here.
#pragma once

#include "hostnet/port.hpp"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::exposer {

/// Host ports and Unix sockets that labels may ask for. The container's side of a port is not looked at: a
/// container reaches nothing by it that is not on the host's side.
class Allowance {
 public:
  /// TCP and UDP from port 1024 on, and no Unix socket.
  Allowance();

  /// `ports`: words with commas of PORT and FROM-TO, each with /tcp, /udp or, for both, nothing. `sockets`:
  /// words with commas of paths. Empty ones leave what the default has. @throws Error{invalid_argument}
  static Allowance parse(const std::vector<std::string>& ports, const std::vector<std::string>& sockets);

  [[nodiscard]] bool covers(const HostPort& port) const;
  /// Those of `ports` that are not covered.
  [[nodiscard]] std::vector<HostPort> refused(const std::vector<HostPort>& ports) const;

 private:
  struct Range {
    std::uint16_t first;
    std::uint16_t last;
    std::optional<Protocol> protocol;  // Both without one.
  };
  static Range parse_range(std::string_view text);

  std::vector<Range> ports_;
  std::set<std::string, std::less<>> sockets_;
};

/// The first part of a path that is a symbolic link, or that cannot be looked at. nullopt for a path that
/// leads where it says, there or not. Follows no link, so a dangling one is found, too.
std::optional<std::string> link_in(const std::string& path);

}  // namespace hostnet::exposer
