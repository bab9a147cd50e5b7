// Identifies callers and reports callers that left the bus.
//
// One match rule serves all callers: the bus allows a connection 512 rules, and the daemon may hold more
// leases than that. The rule is installed before the daemon reads any call, and only then does the daemon ask
// the bus for a caller's credentials. A caller that has already left yields an error there, and one that
// leaves later a signal, so none is missed.
#pragma once

#include "daemon/bouncer.hpp"
#include "daemon/sdbus.hpp"

#include <functional>
#include <string>

namespace hostnet::daemon {

/// Not thread-safe: use on the connection's loop.
class Callers {
 public:
  /// Calls `left` with the unique name of each connection that ends, also of one that never called.
  /// @throws sdbus::Error.
  Callers(sdbus::IConnection& connection, std::function<void(const std::string& name)> left);

  /// Waits for the message bus only. @throws sdbus::Error, also when the caller has left.
  [[nodiscard]] static Caller identify(const sdbus::Message& message);

 private:
  std::function<void(const std::string&)> left_;
  sdbus::Slot match_;
};

}  // namespace hostnet::daemon
