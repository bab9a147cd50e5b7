// Host ports and sockets that `watch` gives to labels. A user who may start containers is not an
// administrator of this host, so everything that the allowance does not name is refused. watch/plan.hpp reads
// the labels.
#pragma once

#include "hostnet/port.hpp"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::exposer {

/// Host ports and Unix sockets that labels may ask for. Ignores the container port: it gives access to
/// nothing that the host port does not.
class Allowance {
 public:
  /// Default: TCP and UDP ports 1024 to 65535 of 127.0.0.1, and no Unix socket.
  Allowance();

  /// `ports`: words of [ADDR:]PORT or [ADDR:]FROM-TO, separated by commas, each with /tcp, /udp or, for both,
  /// no suffix. Without an address, 127.0.0.1 alone: what listens on another one is often not meant for
  /// containers. `sockets`: words of paths, separated by commas. An empty list keeps the default. @throws
  /// Error{invalid_argument}
  static Allowance parse(const std::vector<std::string>& ports, const std::vector<std::string>& sockets);

  [[nodiscard]] bool covers(const HostPort& port) const;
  /// The ports that it does not cover.
  [[nodiscard]] std::vector<HostPort> refused(const std::vector<HostPort>& ports) const;

 private:
  struct Range {
    std::uint16_t first;
    std::uint16_t last;
    std::optional<Protocol> protocol;  // nullopt: both
    std::string address;               // as in HostPort
  };
  static Range parse_range(std::string_view text);

  std::vector<Range> ports_;
  std::set<std::string, std::less<>> sockets_;
};

/// The first part of a path that is a symbolic link or not readable; nullopt for a path without links,
/// whether it exists or not. Follows no link, so it also finds a dangling one.
std::optional<std::string> link_in(const std::string& path);

}  // namespace hostnet::exposer
