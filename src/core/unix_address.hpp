// The address of a Unix socket.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <optional>
#include <string_view>

namespace hostnet {

/// Without the final zero.
inline constexpr std::size_t kLongestUnixPath = sizeof(sockaddr_un::sun_path) - 1;

/// A socket with a path; nullopt if that is empty or too long for an address.
inline std::optional<sockaddr_un> unix_address(std::string_view path) {
  sockaddr_un out{};
  out.sun_family = AF_UNIX;
  if (path.empty() || path.size() > kLongestUnixPath) return std::nullopt;
  path.copy(out.sun_path, path.size());
  return out;
}

inline const sockaddr* as_sockaddr(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

}  // namespace hostnet
