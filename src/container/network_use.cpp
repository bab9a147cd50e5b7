// Counts uses per engine and network name. Holds the lock while the engine creates or removes the network, so
// that no other thread uses a network that is about to be removed.
#include "container/network_use.hpp"

#include "core/log.hpp"
#include "engine/networks.hpp"
#include "hostnet/error.hpp"
#include "path/sidecar/labels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

namespace hostnet::container {
namespace {

constexpr std::chrono::seconds kRemoval{10};

struct Use {
  unsigned count = 0;
  bool ours = false;
};

struct Register {
  std::mutex mutex;
  std::map<std::pair<std::string, std::string>, Use> uses;
};

Register& the_register() {
  static Register instance;
  return instance;
}

bool exists(engine::Client& client, const std::string& name, Deadline deadline) {
  try {
    client.network(name, deadline);
    return true;
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    return false;
  }
}

// Creates the network if it is missing. Returns whether this library created it, in this process or another.
bool ensure(engine::Client& client, const std::string& name, Deadline deadline) {
  engine::Networks networks(client);
  const auto is_labelled = [&] {
    const auto labelled = networks.list({exposer::kNetworkLabel}, deadline);
    return std::ranges::find(labelled, name, &engine::NetworkSummary::name) != labelled.end();
  };
  if (exists(client, name, deadline)) return is_labelled();
  auto labels = exposer::test_run_labels();
  labels[exposer::kNetworkLabel] = name;
  try {
    networks.create(name, labels, deadline);
    return true;
  } catch (const Error&) {
    if (!exists(client, name, deadline)) throw;  // it exists now: another process was faster
    return is_labelled();
  }
}

}  // namespace

NetworkUse::NetworkUse(const engine::Address& engine, std::string name, Deadline deadline)
    : engine_(engine), name_(std::move(name)) {
  auto& all = the_register();
  const std::scoped_lock lock(all.mutex);
  auto& use = all.uses[{engine_.socket, name_}];
  if (use.count == 0) {
    engine::Client client(engine_);
    use.ours = ensure(client, name_, deadline);
  }
  ++use.count;
}

NetworkUse::~NetworkUse() {
  auto& all = the_register();
  const std::scoped_lock lock(all.mutex);
  const auto use = all.uses.find({engine_.socket, name_});
  if (--use->second.count != 0) return;
  const bool ours = use->second.ours;
  all.uses.erase(use);
  if (!ours) return;
  try {
    engine::Client client(engine_);
    if (!engine::Networks(client).remove(name_, Deadline::after(kRemoval)))
      log::debug("network {} stays: it is in use", name_);
  } catch (const std::exception& error) {
    log::error("network {}: {}", name_, error.what());
  }
}

}  // namespace hostnet::container
