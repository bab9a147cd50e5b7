// The Engine API calls that create and remove networks, and tell whose this engine knows.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"
#include "engine/swarm.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::engine {

/// One line of the list of networks.
struct NetworkSummary {
  std::string id;
  std::string name;
  std::map<std::string, std::string> labels;
};

/// The network calls of one engine. The client must outlive it. Not thread-safe. @throws Error as Client's
/// calls.
class Networks {
 public:
  explicit Networks(Client& client) : client_(client) {}

  /// Creates a bridge network; returns its id. @throws Error{conflict} when the name is in use.
  std::string create(const std::string& name, const std::map<std::string, std::string>& labels,
                     Deadline deadline);
  /// Connects a container, running or not.
  void connect(std::string_view id, std::string_view container, Deadline deadline);
  /// Returns whether the network is gone; false while a container uses it.
  bool remove(std::string_view id, Deadline deadline);
  /// All networks that carry every one of these labels ("name" or "name=value").
  std::vector<NetworkSummary> list(const std::vector<std::string>& labels, Deadline deadline);
  /// Those of an overlay network, on all nodes.
  std::vector<OverlayEnd> overlay_ends(std::string_view id, Deadline deadline);
  /// The engine's part in a swarm.
  SwarmNode swarm_node(Deadline deadline);

 private:
  Client& client_;
};

}  // namespace hostnet::engine
