// One lease on the ssh path: a sidecar, a tunnel into it, the alias, and the thread that looks after them.
#pragma once

#include "core/deadline.hpp"
#include "core/failures.hpp"
#include "engine/client.hpp"
#include "hostnet/exposer.hpp"
#include "lease/exposure_impl.hpp"
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
#include <vector>

namespace hostnet::exposer {

/// What is common to the leases of one exposer.
struct SshSettings {
  engine::Address engine;
  std::shared_ptr<state::TunnelStore> store;
  std::shared_ptr<state::Owner> owner;
  std::string image;        ///< Of the sidecars.
  std::string test_run_id;  ///< Of this process, in the sidecars' labels.
  std::chrono::milliseconds release_deadline{30'000};
  std::shared_ptr<Notifier> notifier;
};

class SshExtension;

/// Made by make_shared.
class SshLease : public Exposure::Impl, public std::enable_shared_from_this<SshLease> {
 public:
  /// Sets everything up; returns when the ports are reachable. What fails leaves nothing behind.
  /// @throws Error, with the stage named and the sidecar's last words.
  SshLease(SshSettings settings, const ExposeRequest& request, std::vector<HostPort> ports,
           const SshTarget& target, Deadline deadline);
  ~SshLease() override;

  void release() override;
  [[nodiscard]] ExposureState state() const override { return life_.state(); }
  [[nodiscard]] std::string reason() const override { return life_.reason(); }
  std::shared_ptr<Exposure::Impl> extend(const HostPort& port) override;
  /// For a lease whose target had an empty list of sources: whom it is for.
  void serve(const engine::Container& container);
  /// Something has changed that the keeper should look at.
  void nudge() noexcept;

 private:
  void set_up(const SshTarget& target, Deadline deadline);
  void undo() noexcept;
  void write_aliases(Ipv4 address, bool is_for_one, Deadline deadline);
  Failures take_down(Deadline deadline) noexcept;
  void for_each_extension(const std::function<void(SshExtension&)>& work) const;
  void end(ExposureState state, const std::string& reason);
  void stop_keeper();
  void keep();
  void look_after(engine::Client& client);
  std::optional<std::string> end_of_container(engine::Client& client) const;
  void publish_stats();
  void follow_sidecar(engine::Client& client);

  SshSettings settings_;
  state::TunnelRecord record_;  // the keeper's, once it runs
  std::string host_key_;        // the sidecar's
  std::unique_ptr<Sidecar> sidecar_;
  std::unique_ptr<ssh::Tunnel> tunnel_;

  LeaseLife life_;
  mutable std::mutex mutex_;  // guards what follows, but for the keeper
  std::condition_variable wake_;
  bool stopping_ = false;
  bool nudged_ = false;
  std::optional<std::vector<Ipv4>> sources_;  // as the tunnel has them
  std::optional<ServedContainer> container_;
  std::vector<std::weak_ptr<SshExtension>> extensions_;
  std::jthread keeper_;  // joined by who has begun the end, else by the destructor
};

}  // namespace hostnet::exposer
