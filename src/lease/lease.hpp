// One lease, as data: who may reach what, and whose it is.
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

/// What a lease's life is bound to.
enum class Lifetime : std::uint8_t {
  process,     ///< The process that made it.
  descriptor,  ///< A descriptor that the owner was given: the last duplicate closed ends the lease.
  connection,  ///< A connection to the message bus; the helper holds the lock on its behalf.
  persistent,  ///< Nothing: until it is released, or the machine is shut down.
};

/// "process", "fd", "connection", "persistent".
const char* to_string(Lifetime lifetime) noexcept;
std::optional<Lifetime> parse_lifetime(std::string_view text) noexcept;

/// Whose life a lease is bound to. See owner.hpp for how it is told whether that life goes on.
struct OwnerId {
  std::string token;        ///< Names the file under owners/ whose lock the owner holds.
  pid_t pid = 0;            ///< As the owner saw itself; for people, and for a signal.
  std::uint64_t start = 0;  ///< Its start time (proc(5)); tells it from a later process with that pid.
  uid_t uid = 0;
  std::string command;  ///< Its name (/proc/PID/comm), for people.
  Lifetime lifetime = Lifetime::process;

  bool operator==(const OwnerId&) const = default;
};

/// A process, told from a later one with its pid by when it started (proc(5)).
struct ProcessId {
  pid_t pid = 0;
  std::uint64_t start = 0;

  bool operator==(const ProcessId&) const = default;
};

/// One lease: who may reach which ports of 127.0.0.1 through which bridge.
struct Lease {
  std::string id;      ///< Eight hexadecimal digits, unique on this host.
  std::string target;  ///< As it was asked for: "network web".
  std::string label;
  OwnerId owner;
  int ifindex = 0;             ///< The bridge.
  std::vector<Ipv4> gateways;  ///< Addresses the target may dial; the first is what the alias resolves to.
  std::vector<Ipv4> sources;   ///< Only from these; empty: from anybody on the bridge.
  std::optional<Mac> mac;      ///< Only from this Ethernet address, which the one container was given.
  std::string port;            ///< The bridge's port by which alone the sources send; empty: not known.
  std::string unpinned;        ///< Why the sources are not pinned to it; ask why_unpinned().
  std::vector<HostPort> ports;
  std::optional<ProcessId> served;           ///< The first process of the one container that it is for.
  std::vector<engine::AliasRecord> aliases;  ///< Containers into whose hosts file the alias was written.
  std::int64_t created = 0;                  ///< Seconds since the epoch.
  std::optional<std::int64_t> expires;       ///< Likewise; nullopt: never.
  bool expose_own = false;                   ///< Ends when another user than its owner listens on its ports.
  bool releasing = false;                    ///< Its release has begun: whoever finds it finishes the job.

  bool operator==(const Lease&) const = default;
};

/// Whether a text may name a lease, or the file of an owner: hexadecimal digits alone, some.
bool is_token(std::string_view text) noexcept;

/// Why nothing keeps a neighbour from using a lease for one container in that container's name, one line.
/// Empty when its addresses are pinned to their port of the bridge, and for a lease for everybody.
std::string why_unpinned(const Lease& lease);

/// When a lease ends that is to last so long from now: not before, and less than a second after.
std::int64_t expiry_after(std::chrono::seconds span);

}  // namespace hostnet::state
