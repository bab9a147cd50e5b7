// A network as long as a container of this process needs it.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"

#include <string>

namespace hostnet::container {

/// Counts the users of a network in this process. Thread-safe as a whole: any number of objects for one
/// network, each used by one thread.
class NetworkUse {
 public:
  /// Makes the network where there is none of that name. @throws Error.
  NetworkUse(const engine::Address& engine, std::string name, Deadline deadline);
  NetworkUse(const NetworkUse&) = delete;
  NetworkUse& operator=(const NetworkUse&) = delete;
  /// Removes the network when this was the last user and a process of this library made it. One that a
  /// container of another process uses stays, for that one to remove. A failure goes to the log.
  ~NetworkUse();

 private:
  engine::Address engine_;
  std::string name_;
};

}  // namespace hostnet::container
