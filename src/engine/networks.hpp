// The part of the Engine API that makes and removes networks.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"

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

/// The network calls of one engine. Refers to the client, which must outlive it. Not thread-safe. Throws what
/// Client's calls throw.
class Networks {
 public:
  explicit Networks(Client& client) : client_(client) {}

  /// Makes a bridge network; returns its id. @throws Error: conflict when the name is taken.
  std::string create(const std::string& name, const std::map<std::string, std::string>& labels,
                     Deadline deadline);
  /// Returns whether it is gone: not so while a container uses it.
  bool remove(std::string_view id, Deadline deadline);
  /// All networks that carry every one of these labels ("name" or "name=value").
  std::vector<NetworkSummary> list(const std::vector<std::string>& labels, Deadline deadline);

 private:
  Client& client_;
};

}  // namespace hostnet::engine
