// The facts that doctor collects, as data. gather.hpp reads them from the kernel and the engine and judges
// nothing; judge.hpp is pure and reads only these facts.
#pragma once

#include "engine/client.hpp"
#include "firewall/backend.hpp"
#include "firewall/drops.hpp"
#include "firewall/input_check.hpp"
#include "hostnet/error.hpp"
#include "hostnet/port.hpp"
#include "hostnet/target.hpp"
#include "lease/listening.hpp"
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

/// A value, or the error of the read: doctor also works without privilege.
template <class T>
struct Seen {
  std::optional<T> value;
  std::optional<Error> error;  ///< Set if there is no value.

  explicit operator bool() const { return value.has_value(); }
  const T& operator*() const { return *value; }
  const T* operator->() const { return &*value; }
};

/// Calls `look`; keeps its result or the Error that it throws.
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
      iptables;  ///< Real path of the iptables command, "/usr/sbin/xtables-nft-multi"; empty without one.
  Seen<std::vector<std::string>> legacy_tables;  ///< Tables of ip_tables in this network namespace.
  Seen<firewall::FirewallChoice> choice;         ///< Where a new lease would put its rules.
};

struct LockFacts {
  std::string path;
  std::optional<pid_t> holder;  ///< nullopt: no holder visible in this pid namespace.
  std::string command;          ///< The holder's name; empty if unknown.
};

struct EngineFacts {
  bool needed = false;  ///< The target is a container or a network.
  Seen<engine::Address> address;
  Seen<bool> answers;             ///< Result of a ping; needs an address.
  Seen<engine::Version> version;  ///< Needs an engine that answers. Podman can take seconds.
  bool rootless = false;          ///< As the engine reports it.
  std::string rootless_unknown;   ///< Why it does not report that; empty if it does.
  bool podman = false;            ///< By the headers of its answers.
  std::string remote;             ///< Client::why_remote(); empty for a local engine.
};

/// One bridge through which containers may reach the host.
struct BridgeFacts {
  std::string whose;      ///< "network web", "container api", "bridge br0"
  bool asked = false;     ///< The target's bridge; false: one of all bridges.
  std::string interface;  ///< The engine's name for it; empty for a container.
  bool here = true;       ///< `interface` exists in this network namespace.
  Seen<exposer::Resolved> resolved;
};

struct InputFacts {
  Seen<std::vector<netlink::NftChain>> chains;
  std::vector<std::pair<std::string, firewall::Blocker>> blocked;  ///< Bridge, and what drops its traffic.
  std::vector<std::pair<std::string, firewall::Drop>> drops;  ///< Bridge, and what drops its connections.
  std::string unread;               ///< Why a part of the rules was not readable; empty if it was.
  std::string unreadable;           ///< Why the rules of a chain were not readable; empty if they were.
  std::optional<bool> legacy_drop;  ///< Legacy INPUT has policy DROP; nullopt: no table, or unreadable.
  bool nft_programs = false;        ///< iptables-nft-save and iptables-nft-restore are installed.
};

/// A listener in another network namespace of this machine.
struct Elsewhere {
  std::string address;    ///< "127.0.0.1:8088"
  std::string command;    ///< The process's name; empty if unknown.
  pid_t pid = 0;          ///< 0 if unknown.
  std::string container;  ///< Its name, or its id if the engine does not know it; empty: no container's.
  std::string netns;      ///< The name in /run/netns; empty without one.
};

struct ListenerFacts {
  HostPort port;
  Seen<std::vector<netlink::Listener>> listeners;
  std::vector<Elsewhere> elsewhere = {};  ///< Read only if nothing here serves the port's address.
  std::optional<Target> target = {};      ///< For whom the port is to be exposed.
  /// Where connections come from, by the path that serves or would serve the port.
  exposer::Origin origin = exposer::Origin::bridge;
};

struct StateFacts {
  std::string folder;
  Seen<state::Snapshot> held;
  std::vector<std::string> dead;              ///< Ids of leases that have ended but are not released yet.
  Seen<std::vector<std::string>> deviations;  ///< Rules and settings of the leases that the kernel lacks.
  std::vector<std::string> others;  ///< Leases beside the journal: "1a2b3c4d by ssh for container api".
};

struct RouteLocalnetFacts {
  Seen<std::vector<std::string>> open;  ///< Interfaces other than lo with their own switch on.
  bool all = false;  ///< net.ipv4.conf.all.route_localnet, which applies to every interface.
  Seen<std::vector<std::string>> guarded;  ///< Bridges with tc-hostnet's guard.
};

struct AliasFacts {
  std::string container;                ///< Its name.
  Seen<std::string> hosts;              ///< Content of its hosts file.
  bool by_extra_host = false;           ///< The container was created with --add-host for the alias.
  std::vector<Ipv4> gateways;           ///< Addresses that the alias should have; empty if unknown.
  std::vector<std::string> leases;      ///< Ids of all leases: any may have lines in the hosts file.
  std::optional<std::string> promised;  ///< The lease that wrote the alias into this container.
  bool podman = false;                  ///< The engine is Podman.
};

/// What `expose` would answer for the given target and ports.
struct RequestFacts {
  std::optional<Error> refusal;  ///< nullopt: expose would accept the request.
};

/// All facts. Optional parts are empty if the caller gave no target or no ports.
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
