// Compares listeners with ports.
#include "lease/listening.hpp"

#include "core/loopback.hpp"
#include "core/strings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace hostnet::exposer {
namespace {

constexpr std::size_t kShownListeners = 3;

// The port with that listener's address; nullopt if that would not reach it.
std::optional<HostPort> named(const HostPort& port, const netlink::Listener& listener, Origin origin) {
  const auto plain = listener.ip().ipv4();
  if (plain && !plain->is_loopback()) return std::nullopt;
  auto out = port;
  out.address = !plain ? "::1" : *plain == kLoopback ? "" : plain->to_string();
  const auto from = port.protocol == Protocol::tcp ? origin : Origin::bridge;
  return is_reached(out, listener, from) ? std::optional(std::move(out)) : std::nullopt;
}

bool is_dialled_by_containers(const netlink::Listener& listener) {
  const auto ip = listener.ip();
  const bool link_local = ip.bytes[0] == 0xfe && (ip.bytes[1] & 0xc0) == 0x80;
  const auto plain = ip.ipv4();
  return listener.device == 0 && !link_local && !listener.serves_ipv6_loopback() &&
         (!plain || !plain->is_loopback());
}

}  // namespace

bool is_reached(const HostPort& port, const netlink::Listener& listener, Origin origin) {
  const bool by_device =
      listener.device == 0 || (origin == Origin::host && listener.device == netlink::kLoopbackDevice);
  if (!by_device) return false;
  const auto address = ipv4_of(port);
  if (address && listener.serves(*address)) return true;
  return origin == Origin::host && (!address || address == kLoopback) && port.protocol == Protocol::tcp &&
         listener.serves_ipv6_loopback();
}

std::string found_at(const HostPort& port, const std::vector<netlink::Listener>& found, Origin origin) {
  if (!port.socket.empty()) return {};
  const auto address = ipv4_of(port);
  std::string at;
  for (const auto& listener : found) {
    if (!is_reached(port, listener, origin)) continue;
    if (address && listener.serves(*address)) return address->to_string();  // dialled first
    at = "::1";
  }
  return at;
}

std::optional<Others> others_of(const HostPort& port, const std::vector<netlink::Listener>& found,
                                Origin origin) {
  if (found.empty()) return std::nullopt;
  auto sorted = found;
  // Those that can be named come first: IPv4 by number, then IPv6.
  std::ranges::stable_sort(sorted, {}, [&](const netlink::Listener& listener) {
    return std::tuple(!named(port, listener, origin), listener.ipv6, listener.ip());
  });
  Others others;
  std::vector<std::string> texts;
  for (const auto& listener : sorted) {
    if (const auto text = listener.to_string(); std::ranges::find(texts, text) == texts.end())
      texts.push_back(text);
    if (!others.instead) others.instead = named(port, listener, origin);
    if (others.dialled.empty() && is_dialled_by_containers(listener)) others.dialled = listener.to_string();
  }
  if (texts.size() > kShownListeners) {
    const auto more = texts.size() - kShownListeners;
    texts.resize(kShownListeners);
    texts.push_back(fmt::format("{} more", more));
  }
  others.listeners = list_of(texts);
  return others;
}

std::string advice(const Others& others, const std::function<std::string(const HostPort&)>& command) {
  if (others.instead)
    return fmt::format("to expose {}: {}", others.instead->service(), command(*others.instead));
  if (!others.dialled.empty())
    return fmt::format("containers dial {} themselves, without an exposure", others.dialled);
  return {};
}

}  // namespace hostnet::exposer
