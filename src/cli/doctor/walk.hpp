// The steps of a packet from inside one container to a service of the host: the facts, and where the packet
// stops. As in facts.hpp and judge.hpp, gathering judges nothing and judging is pure.
//
//   step       fails when                                                    judge_walk() reads
//   container  engine does not answer; container is missing, stopped,        engine, container
//              paused, or without an address (then no other follows)
//   alias      a lease is there, but the container has no name for it;       alias, openings, bridge
//              the name's first address is neither this host's nor a
//              sidecar's
//   gateway    bridge is missing or down, or the container's port of it;      bridge, port_down, inside
//              no route inside, or its interface is down
//   forward    no lease for container and port; ended lease; rules missing;  openings, deviations
//              its sidecar or tunnel is down
//   firewall   a rule or policy surely drops the connection; or one may,     drop
//              and the connection fails with every other step in place
//   listener   nothing listens on the host port; n/a for a Unix socket       listener
//   return     the host's routes lead the answers elsewhere; n/a with a      back
//              sidecar
//   connect    a real TCP connection from inside fails (root only, 1.2 s),   inside
//              to any address that the container's resolver has for the name
//
// A step that could not be read is `unseen`: then the way counts as open only if the connection succeeded.
// Each fault has one remedy: a step that fails because an earlier one did shows none.
#pragma once

#include "cli/command.hpp"
#include "cli/doctor/check.hpp"
#include "cli/doctor/facts.hpp"
#include "engine/client.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace hostnet::cli::doctor {

/// What a lease opens, on any path, and to which sources.
struct Opening {
  std::string lease;
  std::string via;          ///< The name of its path.
  bool in_journal = false;  ///< A native lease: its rules are on this host.
  std::string target;       ///< As requested: "network web".
  std::string interface;    ///< The bridge; empty with a sidecar, or if it listens in the container.
  std::string network;      ///< The sidecar's network; empty without one.
  std::string container;    ///< Id of the one container that it is for; empty unless by relay.
  bool at_gateway = false;  ///< By relay: a socket at the gateway of a network, not in the container.
  std::vector<std::string> addresses;  ///< Addresses to dial: gateways, or the sidecar's.
  std::vector<std::string> sources;    ///< Allowed sources; empty: all on the network.
  std::vector<HostPort> ports;
  std::vector<std::string> listens = {};  ///< By relay, in the container: "127.0.0.77:61080", one a port.
  bool dead = false;                      ///< It has ended but is not released yet.
  /// Another user's, of which only the sidecar is visible: its ports and sources are unknown.
  bool foreign = false;
  std::string sidecar;        ///< Its container's name; empty without one.
  std::string sidecar_state;  ///< "running", "paused", …, "gone"; empty: unknown.
  std::string tunnel;         ///< Why the tunnel is not up; empty if it is, or without one.
};

/// How the host's answers to the container would go.
struct ReturnFacts {
  int error = 0;                      ///< errno of the route lookup.
  std::string interface;              ///< The outgoing one; empty if there is none.
  std::string rejecting;              ///< The route that rejects them: "blackhole 198.18.0.2/32".
  std::optional<std::uint32_t> rule;  ///< Preference of the policy rule that overrules the bridge's route.
  firewall::Prefix subnet;            ///< Of the bridge.
};

/// Result of a connection from inside.
struct Dialled {
  enum class Outcome { connected, refused, timed_out, failed };
  Outcome outcome = Outcome::failed;
  std::chrono::microseconds took{0};
  std::string error;  ///< For `failed`: strerror(3).
};

/// Facts from the container's own network namespace.
struct Inside {
  bool route = false;                     ///< One of its routes leads to the address.
  std::optional<Dialled> dialled;         ///< TCP only: over UDP, the service decides whether to answer.
  std::optional<Dialled> dialled_second;  ///< WalkFacts::second_address, likewise.
  std::string down;  ///< Without a route: the interface that would lead there, and is down.
};

struct WalkFacts {
  HostPort port;  ///< `container` is dialled; the listener check uses `host` unless a lease maps another one.
  EngineFacts engine;
  Seen<engine::Container> container;
  BridgeFacts bridge;
  std::string port_down;  ///< The container's port of the bridge, if it is down.
  AliasFacts alias;
  std::vector<Opening> openings;
  std::optional<Error> unseen_openings;      ///< Why there may be more openings.
  std::vector<std::string> deviations;       ///< Rules and settings of native leases that the kernel lacks.
  Seen<std::optional<firewall::Drop>> drop;  ///< What drops the connection.
  std::string unread;                        ///< Why a part of the rules was not readable.
  ListenerFacts listener;
  Seen<ReturnFacts> back;
  std::string address;         ///< The address of the name, or the one it would get; empty without one.
  std::string second_address;  ///< The name's address in the other family, which a resolver gives, too.
  Seen<Inside> inside;
};

/// Reads the kernel, the engine and the leases; as root, dials from inside the container.
WalkFacts gather_walk(const std::string& container, const HostPort& port, const Globals& globals);

/// The addresses of the name inside the container, as its resolver has them, IPv4 first: from its hosts file, else
/// those of a sidecar, from the network's DNS. Empty if it has none or they are not readable. Pure.
std::vector<std::string> alias_addresses(const WalkFacts& facts);
/// The opening for this container and port, preferably one that has not ended; null if there is none. Pure.
const Opening* find_opening(const WalkFacts& facts);

/// The steps in the packet's order. If the first one fails, it is the only one. Pure.
std::vector<Check> judge_walk(const WalkFacts& facts);

/// The name of the first failed step; empty if none failed.
std::string stops_at(const std::vector<Check>& steps);
/// The names of the steps that could not be seen; none if the connection succeeded, which answers for them.
std::vector<std::string> unseen_steps(const WalkFacts& facts, const std::vector<Check>& steps);

/// The steps as a drawing, in colour if the output shows colours. Lines are at most `width` columns wide if
/// their words allow it, and keep the gutter at the left; 0: any width.
std::vector<Text> draw_walk(const WalkFacts& facts, const std::vector<Check>& steps, std::size_t width = 0);

}  // namespace hostnet::cli::doctor
