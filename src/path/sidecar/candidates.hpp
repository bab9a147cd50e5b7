// The ways to a sidecar's sshd, as data. All functions are pure.
//
// Nothing here has to be right about where the engine is: the dialler (dial.hpp) tries the candidates and keeps
// the one that shows the host key that was made for this sidecar. A wrong candidate costs a moment. A place on
// which another program may answer is still left out where it is known to be no way, so as not to knock at
// strangers' doors.
//
//   candidate   is one if                                                  the sidecar
//   address     the network's bridge is proved to be here; or this         is as the lease needs it
//               program is on that network, or on the network of the
//               engine's host
//   network     this program runs in a container of the engine, which      joins one of its networks before its
//               is on other networks                                       start
//   forward     the engine is behind a login (ssh://)                      has its port 22 published on 127.0.0.1 there,
//                                                                          to which a forward of that session leads
//   published   the engine's host may be this machine, or has answered     has its port 22 published there
//               from an address, or $TESTCONTAINERS_HOST_OVERRIDE names
//               it
//   exec        always; last, as it costs the most                         runs `sshd -i` for each session
#pragma once

#include "core/ip.hpp"
#include "engine/client.hpp"

#include <optional>
#include <string>
#include <vector>

namespace hostnet::exposer {

/// What is known of the way to a network's sidecars before there is one.
struct Surroundings {
  bool direct = false;   ///< Addresses on the network can be dialled from here: this is proved.
  bool on_host = false;  ///< The network's bridge is that of our container's network, the host's.
  std::optional<engine::OwnContainer> own;  ///< The engine's container in which we run.
  std::string host_override;  ///< $TESTCONTAINERS_HOST_OVERRIDE: a name or an address, or empty.
};

/// What a sidecar gets for the sake of being dialled.
struct Provision {
  std::string publish_on;  ///< The address of the engine's host for its port 22; empty: not published.
  bool join = false;       ///< It joins the first of our own container's networks that it can.
};

/// `network` is the sidecar's.
Provision provision(const Surroundings& known, const engine::Address& engine, const engine::Network& network);

/// The sidecar's end of its network; null if it has none.
const engine::Endpoint* end_on(const engine::Container& sidecar, const engine::Network& network,
                               const Surroundings& known);

struct DialCandidate {
  enum class By : std::uint8_t { address, network, forward, published, exec };

  By by = By::exec;
  std::string host;  ///< An address, or the override's name; empty for exec.
  std::uint16_t port = 0;

  /// "its address 172.18.0.3:22", "its published port 127.0.0.1:32768", "a forward of the login to its port 127.0.0.1:32768", "a command of the engine".
  [[nodiscard]] std::string text() const;
  /// "172.18.0.3:22"; empty for exec.
  [[nodiscard]] std::string at() const;
  /// "address", "network", "forward", "published", "exec".
  [[nodiscard]] const char* kind() const noexcept;
  bool operator==(const DialCandidate&) const = default;
};

/// For a running sidecar, as the engine describes it. `engine_at`: the address from which an engine on the
/// network answers. Not empty; exec is the last.
std::vector<DialCandidate> dial_candidates(const Surroundings& known, const engine::Address& engine,
                                           std::optional<Ipv4> engine_at, const engine::Network& network,
                                           const engine::Container& sidecar);

}  // namespace hostnet::exposer
