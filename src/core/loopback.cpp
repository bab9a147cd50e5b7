// Reads addresses of the loopback.
#include "core/loopback.hpp"

#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

namespace hostnet {
namespace {

constexpr const char* kAddressForm =
    "give PORT for 127.0.0.1, or ADDRESS:PORT with an address of 127.0.0.0/8 or [::1], for example "
    "127.0.0.53:53";
constexpr const char* kIpv6Loopback = "::1";
constexpr Ipv4 kLoopbackBroadcast{0x7fffffff};

[[noreturn]] void refuse_address(std::string_view whole, const std::string& why,
                                 std::string hint = kAddressForm) {
  throw Error(Errc::invalid_argument, fmt::format("port {}: {}", quote(whole), why), std::move(hint));
}

bool has_only(std::string_view text, std::string_view characters) {
  return text.find_first_not_of(characters) == std::string_view::npos;
}

// Why an address of this kind is not one of the loopback.
[[noreturn]] void refuse_ip(const Ip& ip, std::string_view whole) {
  if (ip == Ip(Ipv4{}) || ip == Ip())
    refuse_address(whole, fmt::format("a service on {} is reached at 127.0.0.1, too", ip.to_string()),
                   "leave out the address: give PORT or PORT:CPORT");
  refuse_address(
      whole, fmt::format("{} is not an address of this host's loopback", ip.to_string()),
      fmt::format("containers dial such an address themselves, without an exposure; {}", kAddressForm));
}

}  // namespace

std::string loopback_address(std::string_view text, std::string_view whole) {
  if (const auto plain = Ipv4::parse(text)) {
    if (*plain == kLoopbackBroadcast)
      refuse_address(whole, fmt::format("{} is the loopback's broadcast address", plain->to_string()));
    if (!plain->is_loopback()) refuse_ip(*plain, whole);
    return *plain == kLoopback ? std::string() : plain->to_string();
  }
  if (const auto ip = Ip::parse(text)) {
    if (ip->to_string() != kIpv6Loopback) refuse_ip(*ip, whole);
    return kIpv6Loopback;
  }
  if (has_only(text, "0123456789."))
    refuse_address(whole, fmt::format("{} is not an IPv4 address of four numbers", quote(text)));
  if (text.find(':') != std::string_view::npos)
    refuse_address(whole, fmt::format("{} is not an IPv6 address of this host's loopback", quote(text)));
  refuse_address(whole, fmt::format("{} is not an address", quote(text)));
}

AddressedText take_address(std::string_view text, std::string_view whole) {
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) refuse_address(whole, "the bracket is not closed");
    const auto inside = text.substr(1, close - 1);
    if (Ipv4::parse(inside)) refuse_address(whole, "only an IPv6 address stands in brackets");
    auto address = loopback_address(inside, whole);
    if (!text.substr(close + 1).starts_with(':')) refuse_address(whole, "a port must follow the address");
    return {std::move(address), text.substr(close + 2)};
  }
  if (text.starts_with("::"))
    refuse_address(whole, "an IPv6 address stands in brackets", "give [::1]:PORT or [::1]:PORT:CPORT");
  const auto colon = text.find(':');
  const auto first = text.substr(0, colon);
  if (has_only(first, "0123456789-")) return {{}, text};
  if (colon == std::string_view::npos && !Ipv4::parse(first)) return {{}, text};  // no port number either
  auto address = loopback_address(first, whole);
  if (colon == std::string_view::npos) refuse_address(whole, "a port must follow the address");
  return {std::move(address), text.substr(colon + 1)};
}

std::optional<Ipv4> ipv4_of(const HostPort& port) {
  return port.address.empty() ? kLoopback : Ipv4::parse(port.address);
}

}  // namespace hostnet
