// By label: no list has to be kept, and nothing is missed that was made just before the end.
#include "container/reap.hpp"

#include "core/log.hpp"
#include "engine/containers.hpp"
#include "engine/networks.hpp"
#include "hostnet/error.hpp"
#include "lease/tunnel_record.hpp"
#include "path/native/lease_store.hpp"
#include "path/native/names.hpp"
#include "path/native/native.hpp"
#include "path/sidecar/clear_away.hpp"
#include "path/sidecar/own_labels.hpp"
#include "path/sidecar/plan.hpp"
#include "path/sidecar/sidecar.hpp"
#include "path/sidecar/test_run_labels.hpp"

#include <fmt/format.h>

#include <vector>

namespace hostnet::container {

std::size_t reap_test_run(const engine::Address& engine, const std::string& test_run, Deadline deadline) {
  engine::Client client(engine);
  engine::Containers containers(client);
  engine::Networks networks(client);
  const auto label = fmt::format("{}={}", exposer::kTestRunLabel, test_run);
  std::size_t removed = 0;
  std::vector<std::string> failures;
  const auto attempt = [&](const std::string& what, auto remove) {
    try {
      if (remove()) ++removed;
    } catch (const Error& error) {
      failures.push_back(fmt::format("{}: {}", what, error.what()));
    }
  };
  // Where the one listing fails, the other may do.
  const auto each = [&](auto& kind, const auto& is_ours) {
    try {
      for (const auto& one : kind.list({label}, deadline))
        attempt(one.name, [&] { return is_ours(one) && kind.remove(one.id, deadline); });
    } catch (const Error& error) {
      failures.push_back(error.hint().empty() ? error.what()
                                              : fmt::format("{}; {}", error.what(), error.hint()));
    }
  };
  each(containers, [&](const auto& container) {
    return exposer::was_created_with(client, container.id, exposer::kTestRunLabel, test_run, deadline);
  });
  each(networks, [](const auto&) { return true; });  // no image gives a network labels
  if (!failures.empty()) throw Error(Errc::failure, fmt::format("{}", fmt::join(failures, "; ")));
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
    exposer::clear_dead_tunnels(state::TunnelStore(runtime_dir), deadline);
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
    const std::string owner(exposer::kOwnerLabel);
    for (const auto& network : networks.list({owner}, deadline)) {
      const auto label = network.labels.find(owner);
      if (label != network.labels.end() && exposer::owner_has_ended(label->second))
        networks.remove(network.id, deadline);
    }
  } catch (const Error& error) {
    exposer::log_unlisted(error);
  } catch (const std::exception& error) {
    log::debug("looking for what dead owners left: {}", error.what());
  }
}

}  // namespace hostnet::container
