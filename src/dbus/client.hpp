// Calls to the helper, tc-hostnetd, over the system bus: what a program needs that is not root.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "dbus/sd_bus.hpp"
#include "hostnet/port.hpp"

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::dbus {

/// The arguments of Manager.Expose(); what is empty is left out of the message.
struct ExposeCall {
  int ifindex = 0;
  std::string ifname;
  std::string gateway;
  std::string host_gateway;
  std::vector<std::string> sources;
  std::vector<HostPort> ports;
  std::string label;
  std::optional<std::chrono::seconds> timeout;
  bool require_listener = false;
  bool interactive = true;  ///< Whether the user may be asked for a password.
};

/// What Expose() answers.
struct Granted {
  std::string lease;  ///< Object path.
  Fd keepalive;       ///< The lease ends when the last duplicate of it is closed.
};

/// A lease of the helper as ObjectManager lists it.
struct LeaseFacts {
  std::string path;
  std::string id;
  uid_t uid = 0;
  pid_t pid = 0;
  std::string interface;
  std::string gateway;
  std::vector<std::string> sources;
  std::vector<HostPort> ports;
  std::vector<std::uint64_t> packets;  ///< Of each port, in the same order.
  std::vector<std::uint64_t> bytes;
  std::string unpinned;  ///< Why its sources are not pinned to their port of the bridge; empty: they are, or
                         ///< it has none.
  std::string label;
  std::string lifetime;
  std::string state;
  std::uint64_t created = 0;  ///< Seconds since the epoch.
  std::uint64_t expires = 0;  ///< Likewise; 0: never.
};

/// Signal LeaseReleased().
struct Released {
  std::string lease;  ///< Object path.
  std::string reason;
};

/// One connection to the system bus ($DBUS_SYSTEM_BUS_ADDRESS, else the well-known one). Not thread-safe. All
/// calls throw Error with the code that error_code() has for the bus's answer.
class Client {
 public:
  /// @throws Error{no_path} where there is no bus.
  Client();

  /// Whether the helper runs, or would be started by a call.
  bool is_there(Deadline deadline);
  /// Whether it runs; starts nothing.
  bool is_running(Deadline deadline);
  /// The reasons for which the helper could not expose to an interface; empty when it can. Starts it if need
  /// be.
  std::vector<std::string> probe(int ifindex, Deadline deadline);

  /// Waits for as long as a prompt stays open, when the call is interactive.
  Granted expose(const ExposeCall& call, Deadline deadline);
  /// LeaseFacts::unpinned of one lease.
  std::string unpinned(const std::string& lease, Deadline deadline);
  void release(const std::string& lease, bool interactive, Deadline deadline);
  /// Starts nothing: a helper that does not run has no leases.
  std::vector<LeaseFacts> leases(Deadline deadline);

  /// From now on, next_event() tells of leases that end and of the helper's going. Only signals of the helper
  /// and of the bus itself count: any user may send one of the same name to this connection.
  void watch();
  struct Event {
    std::optional<Released> released;
    bool helper_gone = false;
  };
  /// nullopt when nothing has happened since. @throws Error when the bus is gone.
  std::optional<Event> next_event();
  /// For poll(2): what to wait for on fd() before next_event(), and for how many milliseconds at most (-1:
  /// for ever).
  [[nodiscard]] int fd() const;
  [[nodiscard]] short events() const;
  [[nodiscard]] int timeout() const;

 private:
  MessageRef call(MessageRef request, Deadline deadline, bool interactive = false);
  [[nodiscard]] bool is_signal_of(sd_bus_message* message, const std::string& sender, const char* interface,
                                  const char* member) const;

  const SdBus& api_;
  Bus bus_;
  std::string helper_;  // its unique name, while watching; empty: it does not run
};

}  // namespace hostnet::dbus
