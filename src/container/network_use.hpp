// A network that exists as long as a container of this process needs it.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"

#include <string>

namespace hostnet::container {

/// Counts the users of a network in this process. Any number of threads may have objects for one network; one
/// object belongs to one thread.
class NetworkUse {
 public:
  /// Creates the network if there is none with that name. @throws Error.
  NetworkUse(const engine::Address& engine, std::string name, Deadline deadline);
  NetworkUse(const NetworkUse&) = delete;
  NetworkUse& operator=(const NetworkUse&) = delete;
  /// The last user removes a network that this library created. A network that a container of another process
  /// uses stays; that process removes it. A failure goes to the log. Limit: 10 s.
  ~NetworkUse();

 private:
  engine::Address engine_;
  std::string name_;
};

}  // namespace hostnet::container
