// One more port through a running sidecar, with its own key, which may forward only this port, and its own
// tunnel into the same sshd.
//
// The alias in a container resolves to one sidecar, so a later port cannot use another sidecar.
#pragma once

#include "core/deadline.hpp"
#include "lease/exposure_impl.hpp"
#include "lease/lease_life.hpp"
#include "path/ssh/tunnel.hpp"

#include <memory>
#include <string>

namespace hostnet::exposer {

class SshLease;

class SshExtension : public Exposure::Impl {
 public:
  /// Returns when the port is reachable. `tunnel` is complete except for on_state. @throws as ssh::Tunnel.
  SshExtension(std::shared_ptr<SshLease> lease, const HostPort& port, ssh::TunnelSettings tunnel,
               Deadline deadline);
  /// release().
  ~SshExtension() override;

  void release() override { end("released"); }
  [[nodiscard]] ExposureState state() const override { return life_.state(); }
  [[nodiscard]] std::string reason() const override { return life_.reason(); }
  /// Closes the tunnel and records the reason. Idempotent.
  void end(const std::string& reason) noexcept;
  [[nodiscard]] state::TunnelStats stats() const { return tunnel_.stats(); }

 private:
  const std::shared_ptr<SshLease> lease_;  // the tunnel dials its sidecar
  LeaseLife life_;

  ssh::Tunnel tunnel_;  // last: its threads use the members above
};

}  // namespace hostnet::exposer
