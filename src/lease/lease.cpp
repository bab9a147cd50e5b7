// Names of lifetimes, and the expiry of a lease.
#include "lease/lease.hpp"

#include <algorithm>

namespace hostnet::state {
const char* to_string(Lifetime lifetime) noexcept {
  switch (lifetime) {
    case Lifetime::process:
      return "process";
    case Lifetime::descriptor:
      return "fd";
    case Lifetime::connection:
      return "connection";
    case Lifetime::persistent:
      return "persistent";
  }
  return "process";
}

std::optional<Lifetime> parse_lifetime(std::string_view text) noexcept {
  for (const auto lifetime :
       {Lifetime::process, Lifetime::descriptor, Lifetime::connection, Lifetime::persistent})
    if (text == to_string(lifetime)) return lifetime;
  return std::nullopt;
}

bool is_token(std::string_view text) noexcept {
  return !text.empty() && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string why_unpinned(const Lease& lease) {
  if (!lease.unpinned.empty()) return lease.unpinned;
  if (!lease.sources.empty())
    return lease.port.empty() ? "its container's port of the bridge is not known" : "";
  return lease.mac ? "only its Ethernet address identifies its container" : "";
}

std::int64_t expiry_after(std::chrono::seconds span) {
  const auto now =
      std::chrono::ceil<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch());
  return (now + std::min(span, std::chrono::seconds::max() - now)).count();
}

}  // namespace hostnet::state
