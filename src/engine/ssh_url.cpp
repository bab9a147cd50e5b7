// Reads and writes ssh:// addresses.
#include "engine/ssh_url.hpp"

#include "core/strings.hpp"
#include "engine/url.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace hostnet::engine {
namespace {

Error malformed(const std::string& why) { return {Errc::invalid_argument, why}; }

// What ssh and the shell of a ProxyCommand could take for something else than a part of a name. ssh itself
// refuses most of it, in its later versions.
bool is_unsafe(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte <= ' ' || byte == 0x7f || std::string_view("'`\"$;&<>|(){}%").find(c) != std::string_view::npos;
}

bool is_in_ssh_host(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         std::string_view("._-+").find(c) != std::string_view::npos;
}

std::string decoded_or_throw(std::string_view text, const char* what) {
  auto out = percent_decoded(text);
  if (!out) throw malformed(fmt::format("{} has a % that two hexadecimal digits must follow", what));
  return *std::move(out);
}

std::string user_of(std::string_view text) {
  if (text.find(':') != std::string_view::npos)
    throw malformed("it holds a password, which ssh does not take from an address");
  auto user = decoded_or_throw(text, "its user");
  if (user.empty()) throw malformed("its user is empty");
  if (user.front() == '-' || user.back() == '\\' || std::ranges::any_of(user, is_unsafe))
    throw malformed("its user holds characters that a user's name for ssh cannot have");
  return user;
}

std::string literal_of(std::string_view text) {
  // The zone of a link-local address: "fe80::1%25eth0", or as people write it, "fe80::1%eth0".
  const auto percent = text.find('%');
  const auto address = text.substr(0, percent);
  if (address.find(':') == std::string_view::npos ||
      address.find_first_not_of("0123456789abcdefABCDEF:.") != std::string_view::npos)
    throw malformed("its brackets hold no IPv6 address");
  if (percent == std::string_view::npos) return std::string(address);
  auto zone = text.substr(percent + 1);
  if (zone.starts_with("25")) zone.remove_prefix(2);
  if (zone.empty() || !std::ranges::all_of(zone, is_in_ssh_host))
    throw malformed("its brackets hold no IPv6 address");
  return fmt::format("{}%{}", address, zone);
}

}  // namespace

std::string Ssh::name() const {
  const bool literal = host.find(':') != std::string::npos;
  auto shown = host;
  if (const auto zone = shown.find('%'); zone != std::string::npos) shown.replace(zone, 1, "%25");
  return fmt::format("ssh://{}{}{}", user.empty() ? "" : percent_encoded(user, "+,=@") + "@",
                     literal ? fmt::format("[{}]", shown) : shown, port == 0 ? "" : fmt::format(":{}", port));
}

std::string Ssh::text() const { return name() + percent_encoded(path, "/+,=@:"); }

Ssh parse_ssh(std::string_view rest, std::string_view usual) {
  Ssh ssh;
  if (rest.find_first_of("?#") != std::string_view::npos)
    throw malformed("nothing may follow the path of the socket");
  const auto slash = rest.find('/');
  auto place = rest.substr(0, slash);
  if (slash != std::string_view::npos && rest.size() > slash + 1) {
    ssh.path = decoded_or_throw(rest.substr(slash), "its path");
    if (ssh.path.ends_with('/') || std::ranges::any_of(ssh.path, [](char c) {
          // The last four mean something to ssh in a path.
          return static_cast<unsigned char>(c) < ' ' || c == 0x7f ||
                 std::string_view(":%$\\").find(c) != std::string_view::npos;
        }))
      throw malformed("its path is not that of a socket, or has one of the characters : % $ \\");
  } else {
    ssh.path = usual;
  }
  // A user may hold an @, as one of a directory service does.
  if (const auto at = place.rfind('@'); at != std::string_view::npos) {
    ssh.user = user_of(place.substr(0, at));
    place.remove_prefix(at + 1);
  }
  std::string_view port;
  if (place.starts_with('[')) {
    const auto end = place.find(']');
    if (end == std::string_view::npos) throw malformed("its bracket is not closed");
    ssh.host = literal_of(place.substr(1, end - 1));
    port = place.substr(end + 1);
  } else {
    const auto colon = place.find(':');
    ssh.host = place.substr(0, colon);
    if (colon != std::string_view::npos) port = place.substr(colon);
    if (ssh.host.empty() || ssh.host.front() == '-' || !std::ranges::all_of(ssh.host, is_in_ssh_host))
      throw malformed("it names no host");
  }
  if (!port.empty()) {
    const auto number = port.front() == ':' ? parse_number(port.substr(1), 65535) : std::nullopt;
    if (!number || *number == 0) throw malformed("its port is not a number from 1 to 65535");
    ssh.port = static_cast<std::uint16_t>(*number);
  }
  return ssh;
}

}  // namespace hostnet::engine
