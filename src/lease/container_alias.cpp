// Chooses between editing the hosts file from outside and running a command in the container.
#include "lease/container_alias.hpp"

#include "core/log.hpp"
#include "engine/alias.hpp"
#include "engine/containers.hpp"
#include "engine/cutoff.hpp"
#include "engine/exec_alias.hpp"
#include "hostnet/error.hpp"
#include "hostnet/exposer.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <span>

namespace hostnet::exposer {
namespace {

bool is_root() { return ::geteuid() == 0; }

// The record for an edit from outside; nullopt where this process must not edit, or may not. It does not act
// on pids and paths that come from a remote engine or from another user's socket. A user may edit the files
// of their own rootless engine's containers; for any other container they run a command in it.
std::optional<engine::AliasRecord> from_outside(engine::Client& client, const engine::Container& container,
                                                Deadline deadline) {
  if (client.why_remote(deadline)) return std::nullopt;
  try {
    auto record = engine::alias_record(container);
    // With any other path, only the container claims that the engine made the file.
    if (!engine::is_at_hosts_path(record)) return std::nullopt;
    return record;
  } catch (const Error& error) {
    // The engine is remote or in another user namespace, so its pid is not a pid of this machine.
    if (!is_root() || error.code() == Errc::not_found || error.code() == Errc::not_authorised)
      return std::nullopt;
    throw;
  }
}

constexpr std::chrono::seconds kAll{15};
constexpr std::chrono::seconds kOne{5};

Deadline within(Deadline deadline, std::chrono::milliseconds span) {
  return Deadline::after(std::min(span, deadline.remaining()));
}

// False if this user may not edit the file, but a command in the container may.
bool edit_from_outside(const engine::AliasEdit& edit, Deadline deadline) {
  const auto outcomes =
      engine::edit_aliases(std::span(&edit, 1), kAlias, within(deadline, engine::kAliasBudget));
  if (!outcomes.front()) return true;
  const auto code = outcomes.front()->code();
  if (!is_root() && (code == Errc::not_authorised || code == Errc::failure)) return false;
  throw *outcomes.front();
}

}  // namespace

Deadline alias_deadline(Deadline deadline) { return within(deadline, kAll); }

void write_container_alias(engine::Client& client, const std::string& container, Ip address,
                           const std::string& lease, Deadline deadline,
                           const std::vector<std::string>& beside, bool bare) {
  std::string name = container.substr(0, 12);
  try {
    const auto found = client.container(container, deadline);
    name = found.name;
    const auto record = from_outside(client, found, deadline);
    const auto reclaimed = bare && may_be_bare(found) ? std::optional(address) : std::nullopt;
    if (record && edit_from_outside({*record, lease, address, {}, beside, reclaimed}, deadline)) return;
    engine::Containers containers(client);
    engine::write_alias_inside(containers, found, kAlias, address, lease, within(deadline, kOne), beside,
                               reclaimed);
  } catch (const Error& error) {
    throw error.in_context(fmt::format("{} is not written into container {}", kAlias, name));
  }
}

std::string read_container_hosts(engine::Client& client, const engine::Container& container,
                                 Deadline deadline) {
  if (const auto record = from_outside(client, container, deadline))
    return engine::read_hosts_outside(*record);
  engine::Containers containers(client);
  return engine::read_hosts_inside(containers, container, within(deadline, kOne));
}

bool may_be_bare(const engine::Container& container) {
  const auto is_alias = [](const std::string& entry) { return entry.starts_with(std::string(kAlias) + ":"); };
  return std::ranges::none_of(container.extra_hosts, is_alias);
}

void remove_container_alias(engine::Client& client, const std::string& container, const std::string& lease,
                            Deadline deadline, std::optional<Ip> bare) {
  const engine::Undoing undoing;
  std::string name = container.substr(0, 12);
  try {
    const auto found = client.container(container, deadline);
    name = found.name;
    if (!found.running) return;
    const auto record = from_outside(client, found, deadline);
    const auto reclaimed = may_be_bare(found) ? bare : std::nullopt;
    if (record && edit_from_outside({*record, lease, std::nullopt, {}, {}, reclaimed}, deadline)) return;
    engine::Containers containers(client);
    engine::remove_alias_inside(containers, found, lease, within(deadline, kOne), kAlias, reclaimed);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found)
      throw error.in_context(fmt::format("the hosts file of container {} is not tidied", name));
  }
}

void remove_container_aliases(engine::Client& client, const std::vector<std::string>& containers,
                              const std::string& lease, Deadline deadline, Failures& failures) {
  const auto limit = alias_deadline(deadline);
  for (const auto& container : containers) {
    try {
      remove_container_alias(client, container, lease, limit);
    } catch (const Error& error) {
      if (error.code() == Errc::engine_unavailable || error.code() == Errc::engine_error)
        failures.add(error.what());
      else
        log::warn("{}", error.what());
    }
  }
}

}  // namespace hostnet::exposer
