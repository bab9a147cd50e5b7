// Text and bytes of addresses of either family.
#include "core/ip.hpp"

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

std::string IpEndpoint::to_string() const {
  return address.ipv4() ? fmt::format("{}:{}", address.to_string(), port)
                        : fmt::format("[{}]:{}", address.to_string(), port);
}

}  // namespace hostnet
