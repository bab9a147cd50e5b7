// The way of a packet from inside one container to a service of the host, step by step: what was found out on
// it, as data, and where it stops. As in facts.hpp and judge.hpp, gathering judges nothing and judging is
// pure.
#pragma once

#include "cli/command.hpp"
#include "cli/doctor/check.hpp"
#include "cli/doctor/facts.hpp"
#include "engine/client.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace hostnet::cli::doctor {

/// What a lease of whichever path opens, to whom.
struct Opening {
  std::string lease;
  std::string via;                     ///< The name of its path.
  bool in_journal = false;             ///< This user's own rules stand for it.
  std::string target;                  ///< As it was asked for: "network web".
  std::string interface;               ///< The bridge; empty where it goes by a sidecar.
  std::string network;                 ///< Where the sidecar is; empty without one.
  std::vector<std::string> addresses;  ///< That the container may dial: gateways, or the sidecar's.
  std::vector<std::string> sources;    ///< Only from these; empty: from everybody there.
  std::vector<HostPort> ports;
  bool dead = false;  ///< Its holder is gone.
};

/// How a connection from inside went.
struct Dialled {
  enum class Outcome { connected, refused, timed_out, failed };
  Outcome outcome = Outcome::failed;
  std::chrono::microseconds took{0};
  std::string error;  ///< For `failed`: the system's words.
};

/// What was seen from the container's own network namespace.
struct Inside {
  bool route = false;              ///< One of its routes leads to the address.
  std::optional<Dialled> dialled;  ///< TCP alone can be tried without a say of the service.
};

struct WalkFacts {
  HostPort port;  ///< `container` is dialled; `host` is looked at where no lease says another one.
  EngineFacts engine;
  Seen<engine::Container> container;
  BridgeFacts bridge;
  AliasFacts alias;
  std::vector<Opening> openings;
  std::optional<Error> unseen_openings;  ///< Why there may be more.
  std::vector<std::string> amiss;        ///< Of native leases' rules and settings: not in the kernel.
  InputFacts input;
  ListenerFacts listener;
  std::string address;  ///< That the name leads to, or would; empty when there is none.
  Seen<Inside> inside;
};

/// Asks the kernel, the engine and the leases; with root, dials from inside.
WalkFacts gather_walk(const std::string& container, const HostPort& port, const Globals& globals);

/// The address that the name has inside: its hosts file's, else, by the network's DNS, that of a sidecar
/// there; empty when it has none, or that cannot be seen. Pure.
std::string alias_address(const WalkFacts& facts);
/// The opening for this container and port; null when there is none. A living one comes first. Pure.
const Opening* find_opening(const WalkFacts& facts);

/// The steps in the order of the way. Nothing follows the first one when there is no such container. Pure.
std::vector<Check> judge_walk(const WalkFacts& facts);

/// The name of the first step that failed; empty when the way is open as far as could be seen.
std::string stops_at(const std::vector<Check>& steps);

/// The steps as a picture that a person reads at a glance, a line each, with colours where output shows them.
std::vector<Text> draw_walk(const WalkFacts& facts, const std::vector<Check>& steps);

}  // namespace hostnet::cli::doctor
