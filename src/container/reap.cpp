// Finds leftovers by label: needs no list, and misses nothing that a process created just before it died.
#include "container/reap.hpp"

#include "core/failures.hpp"
#include "core/log.hpp"
#include "engine/containers.hpp"
#include "engine/networks.hpp"
#include "hostnet/error.hpp"
#include "lease/tunnel_record.hpp"
#include "path/clear_away.hpp"
#include "path/native/lease_store.hpp"
#include "path/native/names.hpp"
#include "path/native/native.hpp"
#include "path/sidecar/labels.hpp"
#include "path/sidecar/own_labels.hpp"
#include "path/sidecar/sidecar.hpp"

#include <fmt/format.h>

namespace hostnet::container {

std::size_t reap_test_run(const engine::Address& engine, const std::string& test_run, Deadline deadline) {
  engine::Client client(engine);
  engine::Containers containers(client);
  engine::Networks networks(client);
  const auto label = fmt::format("{}={}", exposer::kTestRunLabel, test_run);
  std::size_t removed = 0;
  Failures failures;
  // If one listing fails, the other still runs.
  const auto each = [&](auto& kind, const auto& is_ours) {
    try {
      for (const auto& one : kind.list({label}, deadline))
        failures.run(
            [&] {
              if (is_ours(one) && kind.remove(one.id, deadline)) ++removed;
            },
            one.name);
    } catch (const Error& error) {
      failures.add(error.hint().empty() ? error.what() : fmt::format("{}; {}", error.what(), error.hint()));
    }
  };
  each(containers, [&](const auto& container) {
    return exposer::was_created_with(client, container.id, exposer::kTestRunLabel, test_run, deadline);
  });
  each(networks, [](const auto&) { return true; });  // no image can set labels of a network
  failures.raise();
  return removed;
}

void reap_leases(const std::string& runtime_dir, Deadline deadline) noexcept {
  try {
    exposer::LeaseStore store(state::runtime_dir(runtime_dir));
    if (exposer::probe_native().usable && state::has_journal_folder(store.folder())) {
      {
        auto transaction = store.begin(deadline);
        transaction.reap();
        transaction.tidy();
      }
      exposer::finish_names(store, exposer::name_budget(deadline));
    }
  } catch (const std::exception& error) {
    log::error("leases of dead owners: {}", error.what());
  }
  try {
    exposer::clear_dead_leases(state::TunnelStore(runtime_dir), deadline);
  } catch (const std::exception& error) {
    log::error("tunnels of dead owners: {}", error.what());
  }
}

void reap_dead_test_runs(const engine::Address& engine, Deadline deadline) noexcept {
  try {
    engine::Client client(engine);
    engine::Containers containers(client);
    exposer::remove_orphans(client, deadline);
    engine::Networks networks(client);
    for (const auto& network : networks.list({exposer::kOwnerLabel}, deadline)) {
      const auto label = network.labels.find(exposer::kOwnerLabel);
      if (label != network.labels.end() && exposer::owner_has_ended(label->second))
        networks.remove(network.id, deadline);
    }
  } catch (const Error& error) {
    exposer::log_unlisted(error);
  } catch (const std::exception& error) {
    log::debug("search for leftovers of dead owners: {}", error.what());
  }
}

}  // namespace hostnet::container
