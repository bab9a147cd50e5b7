// What doctor found out, as data. Gathering it (gather.hpp) asks the kernel and the engine and judges
// nothing; the judgements (judge.hpp) are pure and see nothing else.
#pragma once

#include "engine/client.hpp"
#include "firewall/backend.hpp"
#include "firewall/input_check.hpp"
#include "hostnet/error.hpp"
#include "hostnet/port.hpp"
#include "lease/snapshot.hpp"
#include "netlink/nft_tables.hpp"
#include "netlink/sock_diag.hpp"
#include "path/select.hpp"
#include "target/resolve.hpp"

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hostnet::cli::doctor {

/// What was seen, or the error that kept it from being seen: doctor also works without privilege.
template <class T>
struct Seen {
  std::optional<T> value;
  std::optional<Error> error;  ///< Set unless there is a value.

  explicit operator bool() const { return value.has_value(); }
  const T& operator*() const { return *value; }
  const T* operator->() const { return &*value; }
};

/// Calls `look` and keeps what it returns or the Error it throws.
template <class Look>
auto see(Look look) -> Seen<decltype(look())> {
  try {
    return {look(), std::nullopt};
  } catch (const Error& error) {
    return {std::nullopt, error};
  }
}

enum class Presence { absent, loadable, present, unknown };

struct KernelFacts {
  std::string release;  ///< As uname(2) gives it.
  bool route_localnet = false;
  Presence ip_tables = Presence::absent;
  Presence nf_tables = Presence::absent;
};

struct PrivilegeFacts {
  uid_t uid = 0;  ///< Effective.
  bool net_admin = false;
  bool net_raw = false;
};

struct BackendFacts {
  std::string
      iptables;  ///< What the iptables command leads to in the end, "/usr/sbin/xtables-nft-multi"; or empty.
  Seen<std::vector<std::string>> legacy_tables;  ///< Those that ip_tables holds in this network namespace.
  Seen<firewall::FirewallChoice> choice;         ///< Where rules go that a lease would need now.
};

struct LockFacts {
  std::string path;
  std::optional<pid_t> holder;  ///< Nobody, as far as this pid namespace shows.
  std::string command;          ///< The holder's name, if it can be told.
};

struct EngineFacts {
  bool needed = false;  ///< The target is a container or a network.
  Seen<engine::Address> address;
  Seen<bool> answers;             ///< To a ping; tried only where there is an address.
  Seen<engine::Version> version;  ///< Asked only of one that answers. Podman's can take seconds to tell.
  bool rootless = false;          ///< It says so itself.
  std::string remote;             ///< Client::why_remote(); empty where nothing speaks against it.
};

/// One bridge by which containers may reach the host.
struct BridgeFacts {
  std::string whose;      ///< "network web", "container api", "bridge br0"
  bool asked = false;     ///< It is the target's; otherwise one of all that there are.
  std::string interface;  ///< What the engine calls it; empty for a container.
  bool here = true;       ///< `interface` exists in this network namespace.
  Seen<exposer::Resolved> resolved;
};

struct InputFacts {
  Seen<std::vector<netlink::NftChain>> chains;
  std::vector<std::pair<std::string, firewall::Blocker>> blocked;  ///< Bridge, and what drops its traffic.
  std::string unreadable;           ///< Why the rules of a chain could not be read; empty when they could.
  std::optional<bool> legacy_drop;  ///< Policy of the legacy INPUT; nullopt without such a table, or unseen.
  bool nft_programs = false;        ///< iptables-nft-save and iptables-nft-restore are installed.
};

struct ListenerFacts {
  HostPort port;
  Seen<std::vector<netlink::Listener>> listeners;
};

struct StateFacts {
  std::string folder;
  Seen<state::Snapshot> held;
  std::vector<std::string> dead;  ///< Ids of leases that nobody holds any more.
  Seen<std::vector<std::string>>
      amiss;  ///< What of the held leases' rules and settings is not in the kernel.
};

struct RouteLocalnetFacts {
  Seen<std::vector<std::string>> open;  ///< Interfaces, other than lo, that have it on themselves.
  bool all = false;  ///< net.ipv4.conf.all.route_localnet, which counts for every interface.
  Seen<std::vector<std::string>> guarded;  ///< Bridges that have tc-hostnet's guard.
};

struct AliasFacts {
  std::string container;                ///< Its name.
  Seen<std::string> hosts;              ///< The text of its hosts file.
  bool by_extra_host = false;           ///< The container was made with --add-host for the alias.
  std::vector<Ipv4> gateways;           ///< What the alias should lead to; empty when unknown.
  std::vector<std::string> leases;      ///< Ids of all leases, whose lines may stand in there.
  std::optional<std::string> promised;  ///< Lease that wrote the alias into this container.
};

/// What `expose` would say to the target and ports given.
struct RequestFacts {
  std::optional<Error> refusal;  ///< None when it would do it.
};

/// Everything. Optional parts belong to a target or to ports that were not given.
struct Facts {
  KernelFacts kernel;
  PrivilegeFacts privilege;
  BackendFacts backend;
  LockFacts lock;
  EngineFacts engine;
  std::vector<BridgeFacts> bridges;
  InputFacts input;
  std::vector<ListenerFacts> listeners;
  StateFacts state;
  RouteLocalnetFacts route_localnet;
  std::optional<AliasFacts> alias;
  exposer::Choice path;
  std::optional<RequestFacts> request;
};

}  // namespace hostnet::cli::doctor
