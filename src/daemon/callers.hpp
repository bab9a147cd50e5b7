// Who calls, and which callers have left the bus.
//
// One match rule serves all callers: the bus allows a connection 512 of them, and the daemon has more leases
// than that. It is in place before any call is read. The bus is asked for a caller's credentials after that:
// a caller that has left already is an error there, and one that leaves later is told of, so none is missed.
#pragma once

#include "daemon/bouncer.hpp"

#include <sdbus-c++/sdbus-c++.h>

#include <functional>
#include <string>

namespace hostnet::daemon {

/// Not thread-safe: on the connection's loop.
class Callers {
 public:
  /// `left` is called with the unique name of each connection that ends, whether it has called or not.
  /// @throws sdbus::Error.
  Callers(sdbus::IConnection& connection, std::function<void(const std::string& name)> left);

  /// Waits for the message bus, and for nothing else. @throws sdbus::Error, when the caller has left too.
  [[nodiscard]] static Caller identify(const sdbus::Message& message);

 private:
  std::function<void(const std::string&)> left_;
  sdbus::Slot match_;
};

}  // namespace hostnet::daemon
