// One lease on the relay path: sockets in a container's network namespace, the relay behind them, the alias,
// and the keeper thread that monitors them.
//
//   state    event                                          next
//   setup    sockets served, alias written                  active; the keeper starts
//            (by setns, or by hand-off: container_net.hpp, handoff.hpp)
//   setup    any error                                      undone; the constructor throws
//   active   release()                                      released
//   active   another process removes the record             released
//   active   the request's timeout passes                   released
//   active   the first process ends (pidfd)                 released, at once: an open socket keeps its network
//                                                           namespace in the kernel
//   active   a port is taken in the container meanwhile     active; a warning, and the record says so
//   active   statistics change                              active; the record is saved
//
//   timeout            value     for
//   kKeeperLook        1 s       the keeper's next check of these events, but for the container's end
//   kUndoRelay         30 s      undoing a failed setup
//   release_deadline   30 s      taking an active lease down
//
// No call runs under a lock.
#pragma once

#include "core/deadline.hpp"
#include "core/failures.hpp"
#include "core/fd.hpp"
#include "engine/address.hpp"
#include "hostnet/exposer.hpp"
#include "lease/exposure_impl.hpp"
#include "lease/lease_life.hpp"
#include "lease/notifier.hpp"
#include "lease/owner.hpp"
#include "lease/tunnel_record.hpp"
#include "path/relay/relay.hpp"
#include "path/relay/target.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace hostnet::exposer {

/// Shared by the leases of one exposer.
struct RelaySettings {
  engine::Address engine;
  std::shared_ptr<state::TunnelStore> store;
  std::shared_ptr<state::Owner> owner;
  std::chrono::milliseconds release_deadline{30'000};
  std::shared_ptr<Notifier> notifier;
};

class RelayLease : public Exposure::Impl {
 public:
  /// Sets everything up and returns when the ports are reachable. A failed setup leaves nothing behind.
  /// @throws Error.
  RelayLease(RelaySettings settings, const ExposeRequest& request, std::vector<HostPort> ports,
             RelayTarget target, Deadline deadline);
  ~RelayLease() override;

  void release() override;
  [[nodiscard]] ExposureState state() const override { return life_.state(); }
  [[nodiscard]] std::string reason() const override { return life_.reason(); }

 private:
  void set_up(const ExposeRequest& request, const RelayTarget& target, Deadline deadline);
  std::vector<Fd> make_sockets(const RelayTarget& target, Deadline deadline);
  void write_alias(Deadline deadline);
  void remove_alias(Deadline deadline, Failures& failures);
  void undo() noexcept;
  Failures take_down(Deadline deadline) noexcept;
  void end(ExposureState state, const std::string& reason);
  void stop_keeper() noexcept;
  void keep();
  void check();
  [[nodiscard]] state::TunnelStats stats();

  RelaySettings settings_;
  relay::ContainerNet net_;
  Fd hosts_;                                                // of a hand-off: the container's hosts file
  state::TunnelRecord record_;                              // the keeper's while it runs
  std::vector<std::shared_ptr<relay::Counters>> counters_;  // one a port
  std::vector<relay::Forward> forwards_;
  std::vector<bool> warned_;  // of a port that was taken; the keeper's
  LeaseLife life_;
  Fd stop_;              // readable once the keeper is to end
  std::jthread keeper_;  // joined by release(), else by the destructor
};

}  // namespace hostnet::exposer
