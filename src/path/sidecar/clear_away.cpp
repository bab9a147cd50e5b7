// The record's engine is asked; the record goes last.
#include "path/sidecar/clear_away.hpp"

#include "core/attempt.hpp"
#include "core/log.hpp"
#include "core/strings.hpp"
#include "engine/client.hpp"
#include "hostnet/error.hpp"
#include "lease/checks.hpp"
#include "lease/container_alias.hpp"
#include "path/sidecar/sidecar.hpp"

#include <fmt/format.h>

#include <string>
#include <vector>

namespace hostnet::exposer {

void clear_away(const state::TunnelStore& store, const state::TunnelRecord& record, Deadline deadline) {
  std::vector<std::string> failures;
  engine::Client client(engine::Address::recorded(record.engine, "the lease's record"));
  attempt(failures, [&] { remove_recorded_sidecar(client, record.sidecar, record.id, deadline); });
  attempt(failures,
          [&] { remove_container_aliases(client, record.alias_in, record.id, deadline, failures); });
  if (!failures.empty())
    throw Error(Errc::failure, fmt::format("lease {}: {}", record.id, list_of(failures)));
  store.remove(record.id);
}

void clear_dead_tunnels(const state::TunnelStore& store, Deadline deadline) {
  for (const auto& record : store.load()) {
    if (store.is_alive(record)) continue;
    try {
      clear_away(store, record, deadline);
      log::info("lease {}: its owner has died; what it left is cleared away", record.id);
    } catch (const std::exception& error) {
      log::warn("{}", error.what());
    }
  }
  store.tidy();
}

}  // namespace hostnet::exposer
