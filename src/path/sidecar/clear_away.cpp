// The record's engine is asked; the record goes last.
#include "path/sidecar/clear_away.hpp"

#include "core/attempt.hpp"
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

void clear_away_sidecar(const state::TunnelStore& store, const state::TunnelRecord& record,
                        Deadline deadline) {
  std::vector<std::string> failures;
  engine::Client client(engine::Address::recorded(record.engine, "the lease's record"));
  attempt(failures, [&] { remove_recorded_sidecar(client, record.sidecar, record.id, deadline); });
  attempt(failures,
          [&] { remove_container_aliases(client, record.alias_in, record.id, deadline, failures); });
  if (!failures.empty())
    throw Error(Errc::failure, fmt::format("lease {}: {}", record.id, list_of(failures)));
  store.remove(record.id);
}

}  // namespace hostnet::exposer
