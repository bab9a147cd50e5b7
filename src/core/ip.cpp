// Text and bytes of addresses of either family.
#include "core/ip.hpp"

#include "core/strings.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace hostnet {
namespace {

constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

Ip::Ip(Ipv4 address) {
  std::ranges::copy(kMapped, bytes.begin());
  const auto network = address.network();
  std::memcpy(bytes.data() + kMapped.size(), &network, sizeof network);
}

std::optional<Ip> Ip::parse(std::string_view text) {
  if (const auto plain = Ipv4::parse(text)) return Ip(*plain);
  Ip out;
  if (::inet_pton(AF_INET6, std::string(text).c_str(), out.bytes.data()) != 1) return std::nullopt;
  if (out.ipv4()) return std::nullopt;
  return out;
}

std::optional<Ipv4> Ip::ipv4() const {
  if (!std::equal(kMapped.begin(), kMapped.end(), bytes.begin())) return std::nullopt;
  std::uint32_t network = 0;
  std::memcpy(&network, bytes.data() + kMapped.size(), sizeof network);
  return Ipv4::from_network(network);
}

std::string Ip::to_string() const {
  if (const auto plain = ipv4()) return plain->to_string();
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(AF_INET6, bytes.data(), text.data(), text.size());
  return text.data();
}

std::optional<Subnet> Subnet::parse(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = Ip::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  const unsigned mapped = address->ipv4() ? 96 : 0;
  const auto bits = parse_number(text.substr(slash + 1), 128 - mapped);
  if (!bits) return std::nullopt;
  return Subnet{.address = *address, .prefix = static_cast<unsigned>(*bits) + mapped};
}

bool Subnet::contains(const Ip& one) const {
  const std::size_t whole = prefix / 8;
  if (!std::equal(one.bytes.begin(), one.bytes.begin() + static_cast<std::ptrdiff_t>(whole),
                  address.bytes.begin()))
    return false;
  if (prefix % 8 == 0) return true;
  const auto differ = static_cast<unsigned>(one.bytes[whole] ^ address.bytes[whole]);
  return differ >> (8 - prefix % 8) == 0;
}

std::string IpEndpoint::to_string() const {
  return address.ipv4() ? fmt::format("{}:{}", address.to_string(), port)
                        : fmt::format("[{}]:{}", address.to_string(), port);
}

}  // namespace hostnet
