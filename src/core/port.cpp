// Parses and prints port specifications, and runs the first checks of every request.
#include "hostnet/port.hpp"

#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hostnet {
namespace {

constexpr const char* kForm = "give PORT or PORT:CPORT, each 1 to 65535, for example 8088 or 5432:15432";
constexpr const char* kSocketForm = "give PATH:CPORT, for example /run/db.sock:5432";
// sockaddr_un holds 108 bytes, the last of them zero.
constexpr std::size_t kLongestSocket = 107;

std::uint16_t parse_port(std::string_view part, std::string_view whole) {
  const auto number = parse_number(part, UINT64_MAX);
  if (!number) {
    const bool digits = !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
    throw Error(Errc::invalid_argument,
                digits ? fmt::format("port {}: {} is greater than 65535", quote(whole), quote(part))
                       : fmt::format("port {}: {} is not a port number", quote(whole), quote(part)),
                kForm);
  }
  if (*number == 0)
    throw Error(Errc::invalid_argument,
                fmt::format("port {}: a port must be greater than zero", quote(whole)), kForm);
  if (*number > 65535)
    throw Error(Errc::invalid_argument,
                fmt::format("port {}: {} is greater than 65535", quote(whole), *number), kForm);
  return static_cast<std::uint16_t>(*number);
}

// "/run/db.sock:5432" or "/run/db.sock:5432/tcp"
HostPort parse_socket(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos)
    throw Error(Errc::invalid_argument,
                fmt::format("socket {}: the container's port is missing", quote(text)), kSocketForm);
  auto number = text.substr(colon + 1);
  if (number.ends_with("/tcp")) number.remove_suffix(4);
  HostPort port;
  port.socket = text.substr(0, colon);
  port.container = parse_port(number, text);
  return port;
}

void check_service(const HostPort& port) {
  if (port.container == 0 || (port.host == 0 && port.socket.empty()))
    throw Error(Errc::invalid_argument, "a port to expose must be greater than zero", kForm);
  if (port.socket.empty()) return;
  const bool printable = std::ranges::none_of(
      port.socket, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  if (port.host != 0 || port.protocol != Protocol::tcp || port.socket.front() != '/' || !printable ||
      port.socket.size() > kLongestSocket)
    throw Error(Errc::invalid_argument,
                fmt::format("{} must be the absolute path of a Unix socket of at most {} bytes, for TCP and "
                            "without a host port",
                            quote(port.socket), kLongestSocket),
                kSocketForm);
}

}  // namespace

const char* to_string(Protocol protocol) noexcept { return protocol == Protocol::udp ? "udp" : "tcp"; }

HostPort HostPort::parse(std::string_view text) {
  if (text.starts_with('/')) return parse_socket(text);
  HostPort port;
  auto numbers = text;
  if (const auto slash = text.find('/'); slash != std::string_view::npos) {
    const auto protocol = text.substr(slash + 1);
    if (protocol != "tcp" && protocol != "udp")
      throw Error(Errc::invalid_argument,
                  fmt::format("port {}: protocol {} is neither tcp nor udp", quote(text), quote(protocol)),
                  kForm);
    if (protocol == "udp") port.protocol = Protocol::udp;
    numbers = text.substr(0, slash);
  }
  const auto parts = split(numbers, ':');
  if (parts.size() > 2)
    throw Error(Errc::invalid_argument,
                fmt::format("port {}: {} numbers, but at most two are allowed", quote(text), parts.size()),
                kForm);
  port.host = parse_port(parts.front(), text);
  port.container = parts.size() == 2 ? parse_port(parts.back(), text) : port.host;
  return port;
}

std::string HostPort::to_string() const {
  const char* const suffix = hostnet::to_string(protocol);
  if (!socket.empty()) return fmt::format("{}:{}/{}", socket, container, suffix);
  return host == container ? fmt::format("{}/{}", host, suffix)
                           : fmt::format("{}:{}/{}", host, container, suffix);
}

std::string HostPort::service() const { return socket.empty() ? fmt::format("127.0.0.1:{}", host) : socket; }

std::vector<HostPort> normalise(std::vector<HostPort> ports) {
  for (const auto& port : ports) check_service(port);
  std::ranges::sort(ports);
  ports.erase(std::unique(ports.begin(), ports.end()), ports.end());

  auto by_container = ports;
  const auto forward = [](const HostPort& port) { return std::pair(port.container, port.protocol); };
  std::ranges::sort(by_container, {}, forward);
  const auto twice = std::ranges::adjacent_find(by_container, {}, forward);
  if (twice != by_container.end())
    throw Error(Errc::conflict,
                fmt::format("container port {} cannot lead to both {} and {}", twice->container,
                            twice->service(), std::next(twice)->service()),
                "give each its own container port, HOST:CONTAINER");
  return ports;
}

}  // namespace hostnet
