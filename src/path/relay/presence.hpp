// Whether a service accepts connections now, as far as can be seen without connecting to it.
//
// A TCP service is seen by its listener (sock_diag(7)). A Unix socket has no such sign that holds in every
// network namespace, so its file counts as a service until a connection to it was refused, and again once the
// file is another one.
#pragma once

#include "netlink/sock_diag.hpp"
#include "path/relay/service.hpp"

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace hostnet::relay {

/// Whether one of the listeners is at one of the service's addresses. Pure.
[[nodiscard]] bool listens(const Service& service, std::span<const netlink::Listener> listeners);

class Presence {
 public:
  explicit Presence(const Service& service) : service_(service) {}

  /// `listeners`: all TCP listeners of the services' network namespace; nullopt if they cannot be listed:
  /// every service then counts as present.
  [[nodiscard]] bool is_there(const std::optional<std::vector<netlink::Listener>>& listeners);
  /// A connection to the service was refused.
  void refused();

 private:
  // A file, and when it was last changed: a program that binds the path again makes another one.
  using Identity = std::array<std::int64_t, 4>;
  [[nodiscard]] std::optional<Identity> socket_file() const;
  [[nodiscard]] bool is_unix() const { return service_.addresses.front().family() == AF_UNIX; }

  const Service& service_;
  std::optional<Identity> refused_;
};

}  // namespace hostnet::relay
