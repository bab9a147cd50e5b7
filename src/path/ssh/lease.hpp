// One lease on the ssh path: a sidecar, a tunnel into it, the alias, and the keeper thread that monitors
// them.
//
//   state    event                                          next
//   setup    aliases written, all ports reachable           active; the keeper starts
//   setup    any error                                      undone; the constructor throws
//   active   release()                                      released
//   active   another process removes the record             released
//   active   the request's timeout passes                   released
//   active   the container stops or leaves the network      released
//   active   the tunnel fails (path/ssh/tunnel.hpp)         failed
//   active   the sidecar gets another address               active; the alias follows
//   active   statistics or ports change                     active; the record is saved
//
//   timeout            value     for
//   kKeeperPeriod      1 s       the keeper's next check of these events; nudge() makes it check at once
//   kLook              2 s       one query of the container
//   kUndo              30 s      undoing a failed setup
//   release_deadline   30 s      taking an active lease down, moving the alias, extend()
//
// No call runs under mutex_. The keeper, a caller of release() and the tunnel's threads (nudge()) meet there.
#pragma once

#include "core/deadline.hpp"
#include "core/failures.hpp"
#include "engine/client.hpp"
#include "hostnet/exposer.hpp"
#include "lease/exposure_impl.hpp"
#include "lease/joined_names.hpp"
#include "lease/lease_life.hpp"
#include "lease/notifier.hpp"
#include "lease/owner.hpp"
#include "lease/tunnel_record.hpp"
#include "path/sidecar/sidecar.hpp"
#include "path/ssh/target.hpp"
#include "path/ssh/tunnel.hpp"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace hostnet::exposer {

/// Shared by the leases of one exposer.
struct SshSettings {
  engine::Address engine;
  std::shared_ptr<state::TunnelStore> store;
  std::shared_ptr<state::Owner> owner;
  std::string image;  ///< Of the sidecars.
  std::chrono::milliseconds release_deadline{30'000};
  std::shared_ptr<Notifier> notifier;
};

class SshExtension;

/// Create it with std::make_shared.
class SshLease : public Exposure::Impl, public JoinedNames, public std::enable_shared_from_this<SshLease> {
 public:
  /// Sets everything up and returns when the ports are reachable. A failed setup leaves nothing behind.
  /// @throws Error that names the stage and the sidecar's last output.
  SshLease(SshSettings settings, const ExposeRequest& request, std::vector<HostPort> ports,
           const SshTarget& target, Deadline deadline);
  ~SshLease() override;

  void release() override;
  [[nodiscard]] ExposureState state() const override { return life_.state(); }
  [[nodiscard]] std::string reason() const override { return life_.reason(); }
  std::shared_ptr<Exposure::Impl> extend(const HostPort& port) override;
  /// Sets the served container of a lease whose target had an empty list of sources.
  void serve(const engine::Container& container);
  /// The keeper writes the alias. If the engine's DNS gives it, warns of a container that has it from elsewhere.
  void take_in(const engine::Container& container, Deadline deadline) override;
  void let_go(const engine::Container& container, Deadline deadline) override;
  void look_now() noexcept override { nudge(); }
  /// Makes the keeper check at once. Thread-safe.
  void nudge() noexcept;

 private:
  void set_up(const ExposeRequest& request, const SshTarget& target, Deadline deadline);
  void undo() noexcept;
  void write_aliases(const std::vector<Ip>& addresses, bool is_for_one, Deadline deadline);
  void remove_sidecar(Deadline deadline);
  Failures take_down(Deadline deadline) noexcept;
  void for_each_extension(const std::function<void(SshExtension&)>& work) const;
  void end(ExposureState state, const std::string& reason);
  void stop_keeper();
  void keep();
  void look_after(engine::Client& client);
  std::optional<std::string> end_of_container(engine::Client& client) const;
  void publish_stats();
  void name_moved(engine::Client& client);
  void write_aliases_in(engine::Client& client, const std::string& container,
                        const std::vector<Ip>& addresses, Deadline deadline, bool bare = false) const;
  void follow_sidecar(engine::Client& client);

  SshSettings settings_;
  state::TunnelRecord record_;   // the keeper's while it runs
  std::string host_key_;         // the sidecar's
  bool by_hosts_files_ = false;  // containers get the alias in their hosts files
  std::unique_ptr<Sidecar> sidecar_;
  std::vector<Ip> addresses_;  // that the alias leads to; the keeper's while it runs
  std::unique_ptr<ssh::Tunnel> tunnel_;

  LeaseLife life_;
  mutable std::mutex mutex_;  // guards what follows, except keeper_
  std::condition_variable wake_;
  bool stopping_ = false;
  bool nudged_ = false;
  std::vector<std::string> seen_;  // ids of containers on the network, whose own entries were looked at
  std::vector<std::pair<std::string, bool>> moved_;  // ids, and whether they joined, for the keeper
  std::optional<std::vector<Ip>> sources_;           // as the tunnel has them
  std::optional<ServedContainer> container_;
  std::vector<std::weak_ptr<SshExtension>> extensions_;
  std::jthread keeper_;  // joined by release(), else by the destructor
};

}  // namespace hostnet::exposer
