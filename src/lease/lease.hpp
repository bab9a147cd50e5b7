// One lease as data: target, ports, bindings and owner.
#pragma once

#include "core/ipv4.hpp"
#include "core/mac.hpp"
#include "engine/alias.hpp"
#include "hostnet/port.hpp"

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::state {

/// What ends a lease.
enum class Lifetime : std::uint8_t {
  process,     ///< The end of the process that made it.
  descriptor,  ///< Closing the last duplicate of the owner's descriptor.
  connection,  ///< The end of a bus connection; the helper holds the lock for it.
  persistent,  ///< Only release or shutdown.
};

/// "process", "fd", "connection", "persistent".
const char* to_string(Lifetime lifetime) noexcept;
std::optional<Lifetime> parse_lifetime(std::string_view text) noexcept;

/// The owner of a lease. owner.hpp says how to test whether it is alive.
struct OwnerId {
  std::string token;        ///< Name of the file under owners/ that the owner keeps locked.
  pid_t pid = 0;            ///< As the owner sees itself; for display and signals.
  std::uint64_t start = 0;  ///< Start time (proc(5)); a later process with that pid has another.
  uid_t uid = 0;
  std::string command;  ///< Its name (/proc/PID/comm), for display.
  Lifetime lifetime = Lifetime::process;

  bool operator==(const OwnerId&) const = default;
};

/// A process, identified by pid and start time (proc(5)), so that a reused pid does not match.
struct ProcessId {
  pid_t pid = 0;
  std::uint64_t start = 0;

  bool operator==(const ProcessId&) const = default;
};

/// One lease: these sources may reach these ports of 127.0.0.1 through this bridge.
struct Lease {
  std::string id;      ///< Eight hexadecimal digits, unique on this host.
  std::string target;  ///< As requested: "network web".
  std::string label;
  OwnerId owner;
  int ifindex = 0;             ///< The bridge.
  std::vector<Ipv4> gateways;  ///< Addresses the target may dial; the first is what the alias resolves to.
  std::vector<Ipv4> sources;   ///< Permitted sources; empty: every address on the bridge.
  std::optional<Mac> mac;      ///< Permitted Ethernet address, given to the one container.
  std::string port;            ///< Bridge port that the sources are bound to; empty: unknown.
  std::string unpinned;        ///< Why the sources have no binding; use why_unpinned().
  std::vector<HostPort> ports;
  std::optional<ProcessId> served;           ///< First process of the one container that the lease serves.
  std::vector<engine::AliasRecord> aliases;  ///< Containers whose hosts file has the alias.
  std::int64_t created = 0;                  ///< Seconds since the epoch.
  std::optional<std::int64_t> expires;       ///< Likewise; nullopt: never.
  bool expose_own = false;                   ///< Ends when a user other than its owner listens on its ports.
  bool releasing = false;  ///< Release has begun; the next process that finds it finishes it.

  bool operator==(const Lease&) const = default;
};

/// Whether a text can be a lease id or an owner file's name: hexadecimal digits only, at least one.
bool is_token(std::string_view text) noexcept;

/// Why a neighbour can use a lease for one container, in one line. Empty if bindings tie its addresses to
/// their bridge port, and for a lease for a whole network.
std::string why_unpinned(const Lease& lease);

/// The expiry of a lease that lasts `span` from now: never early, less than a second late.
std::int64_t expiry_after(std::chrono::seconds span);

}  // namespace hostnet::state
