// Compares listeners with addresses, and files with what they were.
#include "path/relay/presence.hpp"

#include "core/ipv4.hpp"

#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>

namespace hostnet::relay {

bool listens(const Service& service, std::span<const netlink::Listener> listeners) {
  return std::ranges::any_of(service.addresses, [&](const Address& address) {
    if (address.family() == AF_INET) {
      const auto& socket = reinterpret_cast<const sockaddr_in&>(address.storage);
      const auto wanted = Ipv4::from_network(socket.sin_addr.s_addr);
      return std::ranges::any_of(listeners, [&](const netlink::Listener& one) {
        return one.port == ntohs(socket.sin_port) && one.serves(wanted);
      });
    }
    const auto& socket = reinterpret_cast<const sockaddr_in6&>(address.storage);
    return address.family() == AF_INET6 && std::ranges::any_of(listeners, [&](const netlink::Listener& one) {
             return one.port == ntohs(socket.sin6_port) && one.serves_ipv6_loopback();
           });
  });
}

std::optional<Presence::Identity> Presence::socket_file() const {
  const auto& socket = reinterpret_cast<const sockaddr_un&>(service_.addresses.front().storage);
  struct stat file {};
  if (::stat(socket.sun_path, &file) != 0 || !S_ISSOCK(file.st_mode)) return std::nullopt;
  return Identity{static_cast<std::int64_t>(file.st_dev), static_cast<std::int64_t>(file.st_ino),
                  file.st_ctim.tv_sec, file.st_ctim.tv_nsec};
}

bool Presence::is_there(const std::optional<std::vector<netlink::Listener>>& listeners) {
  if (!is_unix()) return !listeners || listens(service_, *listeners);
  const auto file = socket_file();
  return file && file != refused_;
}

void Presence::refused() {
  if (is_unix()) refused_ = socket_file();
}

}  // namespace hostnet::relay
