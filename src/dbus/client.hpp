// Calls to the helper, tc-hostnetd, over the system bus, for programs that do not run as root.
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

/// The arguments of Manager.Expose(). Empty ones are omitted from the message.
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
  bool interactive = true;  ///< Whether polkit may prompt the user for a password.
};

/// The reply to Expose().
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
  std::vector<std::string>
      addresses;  ///< Of the services, per port; read_properties() puts them into `ports`.
  std::vector<std::uint64_t> packets;  ///< Per port, in the order of `ports`.
  std::vector<std::uint64_t> bytes;
  std::string
      unpinned;  ///< Why no binding ties its sources to their bridge port; empty: bound, or no sources.
  std::string label;
  std::string lifetime;
  std::string state;
  std::uint64_t created = 0;  ///< Seconds since the epoch.
  std::uint64_t expires = 0;  ///< Seconds since the epoch; 0: never.
};

/// The LeaseReleased signal.
struct Released {
  std::string lease;  ///< Object path.
  std::string reason;
};

/// One connection to the system bus ($DBUS_SYSTEM_BUS_ADDRESS, else the well-known one). Not thread-safe. All
/// calls throw Error with the code to which error_code() maps the bus's error.
class Client {
 public:
  /// @throws Error{no_path} when there is no bus.
  Client();

  /// Whether the helper runs or a call would start it.
  bool is_there(Deadline deadline);
  /// Whether the helper runs. Does not start it.
  bool is_running(Deadline deadline);
  /// The reasons why the helper cannot expose ports to the interface; empty when it can. Starts the helper.
  std::vector<std::string> probe(int ifindex, Deadline deadline);

  /// Waits as long as a prompt stays open (at most 10 minutes), when the call is interactive.
  Granted expose(const ExposeCall& call, Deadline deadline);
  /// Reads LeaseFacts::unpinned of one lease.
  std::string unpinned(const std::string& lease, Deadline deadline);
  /// The options of expose() that the helper knows.
  std::vector<std::string> features(Deadline deadline);
  void release(const std::string& lease, bool interactive, Deadline deadline);
  /// Does not start the helper: without it there are no leases.
  std::vector<LeaseFacts> leases(Deadline deadline);

  /// From now on, next_event() reports ends of leases and the end of the helper. Only signals from the helper
  /// and from the bus count: any user may send a signal of the same name to this connection.
  void watch();
  /// From now on, leases_changed() reports that a lease or the helper has come or gone, and takes what it reports.
  /// Not with watch() on the same connection.
  void watch_leases();
  bool leases_changed();
  struct Event {
    std::optional<Released> released;
    bool helper_gone = false;
  };
  /// nullopt when nothing new has happened. @throws Error when the bus is gone.
  std::optional<Event> next_event();
  /// For poll(2): the descriptor, the events to wait for before next_event(), and the timeout in milliseconds
  /// (-1: none).
  [[nodiscard]] int fd() const;
  [[nodiscard]] short events() const;
  [[nodiscard]] int timeout() const;

 private:
  MessageRef call(MessageRef request, Deadline deadline, bool interactive = false);
  MessageRef property(const std::string& object, const char* interface, const char* name, Deadline deadline);
  [[nodiscard]] bool is_signal_of(sd_bus_message* message, const std::string& sender, const char* interface,
                                  const char* member) const;

  const SdBus& api_;
  Bus bus_;
  std::string helper_;  // the helper's unique name, after watch(); empty: it does not run
};

}  // namespace hostnet::dbus
