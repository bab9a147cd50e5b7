// Reads records and the journal.
#include "target/seen_lease.hpp"

#include "core/log.hpp"
#include "lease/journal.hpp"
#include "lease/runtime_dir.hpp"
#include "lease/tunnel_record.hpp"

#include <exception>
#include <utility>

namespace hostnet::exposer {

std::optional<SeenLease> seen_lease(const std::string& id, const std::string& runtime_dir) noexcept {
  try {
    for (auto& record : state::TunnelStore(runtime_dir).load())
      if (record.id == id) return SeenLease{std::move(record.target), std::move(record.ports)};
    const auto held = state::peek(state::namespace_dir(state::runtime_dir(runtime_dir)));
    if (const auto* const lease = held.lease(id)) return SeenLease{lease->target, lease->ports};
  } catch (const std::exception& error) {
    log::debug("lease {} is not seen: {}", id, error.what());
  }
  return std::nullopt;
}

}  // namespace hostnet::exposer
