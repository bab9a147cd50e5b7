// Parses and prints port specifications, and runs the first checks of every request.
#include "hostnet/port.hpp"

#include "core/loopback.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hostnet {
namespace {

constexpr const char* kForm = "give PORT or PORT:CPORT, each 1 to 65535, for example 8088 or 5432:15432";
constexpr const char* kRangeForm =
    "give FROM-TO or FROM-TO:FROM-TO, for example 8088-8090 or 8088-8090:9088-9090";
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

// The first and the last port of a range; equal for a single port.
struct Span {
  std::uint16_t first = 0;
  std::uint16_t last = 0;

  [[nodiscard]] std::size_t size() const { return std::size_t{last} - first + 1; }
};

Span parse_span(std::string_view part, std::string_view whole) {
  const auto dash = part.find('-', 1);  // "-1" is a wrong number and no range
  if (part.empty() || dash == std::string_view::npos) {
    const auto port = parse_port(part, whole);
    return {port, port};
  }
  const Span span{parse_port(part.substr(0, dash), whole), parse_port(part.substr(dash + 1), whole)};
  if (span.last < span.first)
    throw Error(Errc::invalid_argument,
                fmt::format("port {}: the range {} ends before it begins", quote(whole), quote(part)),
                "give the smaller port first: 8088-8090");
  return span;
}

struct Spans {
  std::string address;
  Protocol protocol = Protocol::tcp;
  Span host;
  Span container;
};

// "5432", "5432:15432", "127.0.0.2:8088-8090:9088-9090", each with "/tcp" or "/udp"
Spans parse_spans(std::string_view text) {
  Spans spans;
  auto rest = text;
  if (const auto slash = text.find('/'); slash != std::string_view::npos) {
    const auto protocol = text.substr(slash + 1);
    if (protocol != "tcp" && protocol != "udp")
      throw Error(Errc::invalid_argument,
                  fmt::format("port {}: protocol {} is neither tcp nor udp", quote(text), quote(protocol)),
                  kForm);
    if (protocol == "udp") spans.protocol = Protocol::udp;
    rest = text.substr(0, slash);
  }
  auto addressed = take_address(rest, text);
  spans.address = std::move(addressed.address);
  const auto parts = split(addressed.rest, ':');
  if (parts.size() > 2)
    throw Error(Errc::invalid_argument,
                fmt::format("port {}: {} numbers, but at most two are allowed", quote(text), parts.size()),
                kForm);
  spans.host = parse_span(parts.front(), text);
  spans.container = parts.size() == 2 ? parse_span(parts.back(), text) : spans.host;
  return spans;
}

void check_service(const HostPort& port) {
  if (port.container == 0 || (port.host == 0 && port.socket.empty()))
    throw Error(Errc::invalid_argument, "a port to expose must be greater than zero", kForm);
  if (port.socket.empty()) {
    if (!port.address.empty() && port.protocol == Protocol::udp && !ipv4_of(port))
      throw Error(Errc::invalid_argument, fmt::format("{}: to [::1] only TCP is carried", port.to_string()),
                  "let the service listen on 127.0.0.1, too");
    return;
  }
  const bool printable = std::ranges::none_of(
      port.socket, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  if (port.host != 0 || !port.address.empty() || port.protocol != Protocol::tcp ||
      port.socket.front() != '/' || !printable || port.socket.size() > kLongestSocket)
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
  auto spans = parse_spans(text);
  if (text.find('-') != std::string_view::npos)
    throw Error(Errc::invalid_argument, fmt::format("port {}: only one port can be given here", quote(text)),
                kForm);
  return {spans.host.first, spans.container.first, spans.protocol, {}, std::move(spans.address)};
}

std::vector<HostPort> HostPort::parse_range(std::string_view text) {
  if (text.starts_with('/')) return {parse_socket(text)};
  const auto spans = parse_spans(text);
  const auto count = spans.host.size();
  if (count != spans.container.size())
    throw Error(
        Errc::invalid_argument,
        fmt::format("port {}: {} host port{} cannot lead from {} container port{}", quote(text), count,
                    count == 1 ? "" : "s", spans.container.size(), spans.container.size() == 1 ? "" : "s"),
        kRangeForm);
  if (count > kMostInRange)
    throw Error(
        Errc::invalid_argument,
        fmt::format("port {}: {} ports are more than the {} of one range", quote(text), count, kMostInRange),
        "name only the ports that containers need");
  std::vector<HostPort> out;
  out.reserve(count);
  for (std::size_t i = 0; i < count; ++i)
    out.push_back({static_cast<std::uint16_t>(spans.host.first + i),
                   static_cast<std::uint16_t>(spans.container.first + i),
                   spans.protocol,
                   {},
                   spans.address});
  return out;
}

std::string HostPort::to_string() const {
  const char* const suffix = hostnet::to_string(protocol);
  if (!socket.empty()) return fmt::format("{}:{}/{}", socket, container, suffix);
  const auto served = address.empty() ? fmt::to_string(host) : service();
  return host == container ? fmt::format("{}/{}", served, suffix)
                           : fmt::format("{}:{}/{}", served, container, suffix);
}

std::string HostPort::service() const {
  if (!socket.empty()) return socket;
  if (address.find(':') != std::string::npos) return fmt::format("[{}]:{}", address, host);
  return fmt::format("{}:{}", address.empty() ? kLoopback.to_string() : address, host);
}

std::vector<HostPort> normalise(std::vector<HostPort> ports) {
  for (auto& port : ports) {
    if (!port.address.empty() && port.socket.empty())
      port.address = loopback_address(port.address, port.to_string());
    check_service(port);
  }
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
