// Cleans up at the record's engine; removes the record last.
#include "path/sidecar/clear_away.hpp"

#include "core/failures.hpp"
#include "engine/client.hpp"
#include "hostnet/error.hpp"
#include "lease/checks.hpp"
#include "lease/container_alias.hpp"
#include "path/sidecar/sidecar.hpp"

namespace hostnet::exposer {

void clear_away_sidecar(const state::TunnelStore& store, const state::TunnelRecord& record,
                        Deadline deadline) {
  Failures failures;
  engine::Client client(engine::Address::recorded(record.engine, "the lease's record"));
  failures.run([&] { remove_recorded_sidecar(client, record.sidecar, record.id, deadline); });
  failures.run([&] { remove_container_aliases(client, record.alias_in, record.id, deadline, failures); });
  failures.raise("lease " + record.id);
  store.forget(record);
}

}  // namespace hostnet::exposer
