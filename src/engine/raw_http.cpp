// Connecting, and the status line.
#include "engine/raw_http.hpp"

#include "core/strings.hpp"
#include "engine/transport_error.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>

namespace hostnet::engine {

Fd connect_to(const Address& address) {
  sockaddr_un where{};
  where.sun_family = AF_UNIX;
  if (address.socket.size() >= sizeof where.sun_path)
    throw Error(Errc::invalid_argument, fmt::format("the path {} is too long", quote(address.socket)));
  address.socket.copy(where.sun_path, sizeof where.sun_path - 1);
  // A listener whose queue is full, as a hung engine's is in the end, would be waited for without an end.
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) throw Error::from_errno("socket", errno);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0)
    throw connect_error(address, errno == EAGAIN ? 0 : errno);
  return fd;
}

long status_of(std::string_view head) {
  const auto words = split(head.substr(0, head.find("\r\n")), ' ');
  if (words.size() < 2 || !words[0].starts_with("HTTP/1.")) return 0;
  return static_cast<long>(parse_number(words[1], 999).value_or(0));
}

}  // namespace hostnet::engine
