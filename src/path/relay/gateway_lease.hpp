// A lease at the gateway of a network (gateway.hpp): for its containers, or for one that has not started.
//
//   state    event                                              next
//   served   the bridge goes, or its address                    away: no socket
//   away     a bridge of that name and address is there, and    served, by new sockets: the old ones were bound to an
//            is known to be the network's (not rootless)        interface that is gone
//   away     kBridgeAway has passed                             failed, "… is gone"
//   served   a rootless Docker ends, and its namespace          over: no socket, until a container starts (below)
//   served   a container starts on the network, or joins it     it gets the name; or a second socket, by its own line
//   served,  a container of a rootless engine starts in         failed, "… is gone": the sockets keep the old one
//   over     another namespace than the lease's
//   served   a container leaves the network                     it loses the name
//   waiting  serve_only(): the container has started            served, for its addresses alone
//   served   that container's first process ends                released
//
//   timeout       value    for
//   kBridgeAway   1 s      a bridge that comes back by itself: the follower of `expose` waits longer
//   kAwayLook     100 ms   looks at it meanwhile
//   kUnheardLook  250 ms   looks at the bridge of a rootless engine, of which no event comes here
//   kEngineLook   2 s      the engine, which proves that it is the network's
#pragma once

#include "lease/joined_names.hpp"
#include "netlink/link.hpp"
#include "netlink/monitor.hpp"
#include "path/relay/gateway.hpp"
#include "path/relay/lease.hpp"

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hostnet::exposer {

class GatewayLease final : public RelayLease, public JoinedNames {
 public:
  /// For all containers on the network; with `from` container_to_come for one that serve_only() names.
  /// @throws Error.
  GatewayLease(RelaySettings settings, const ExposeRequest& request, std::vector<HostPort> ports,
               GatewayTarget target, relay::Peers::From from, Deadline deadline);
  ~GatewayLease() override { stop_keeper(); }

  /// From now on the lease is that container's alone, which runs on the network; connections that it has made
  /// so far are served. @throws Error: no_path if its process is not on this machine, not_found if it has
  /// ended.
  void serve_only(const engine::Container& container);

  /// Of a lease for one container: another lease at the same gateway for it, as its name leads there.
  std::shared_ptr<Exposure::Impl> extend(const HostPort& port) override;

  void take_in(const engine::Container& container, Deadline deadline) override;
  void let_go(const engine::Container& container, Deadline deadline) override;

 private:
  struct Moved {
    engine::Container container;
    bool is_here;
  };
  struct One {  // of serve_only()
    engine::Container container;
    std::vector<Ipv4> addresses;
    Fd process;
  };

  void check_rivals() override;
  void open(Deadline deadline) override;
  void write_names(Deadline deadline) override;
  void remove_names(Deadline deadline, Failures& failures) override;
  [[nodiscard]] int watched() const noexcept override;
  void look(bool readable) override;
  [[nodiscard]] std::chrono::milliseconds period() const override;
  [[nodiscard]] std::string taken(const Served& one) const override;
  [[nodiscard]] std::string blocked() const override;

  void open_missing(Deadline deadline);
  void look_at_bridge();
  void name_moved();
  void become_ones();
  void move(const engine::Container& container, bool is_here);

  const GatewayTarget made_for_;
  GatewayTarget target_;  // the keeper's: as it is now
  const bool forced_;
  const std::shared_ptr<relay::Peers> peers_;
  netlink::Rtnl rtnl_;  // where the bridge is; the keeper's
  netlink::LinkMonitor links_;
  const Fd engine_;   // of a rootless engine: a pidfd, if its end is that of the namespace
  Fd process_;        // of the one container: a pidfd
  std::string away_;  // what is gone; empty while the sockets are there
  std::chrono::steady_clock::time_point away_since_ = {};

  std::mutex mutex_;  // guards the members below, which wait for the keeper
  std::vector<Moved> moved_;
  std::optional<One> one_;
  std::optional<engine::Container> served_container_;  // for extend()
};

}  // namespace hostnet::exposer
