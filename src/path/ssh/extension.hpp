// One port more by a sidecar that stands already: with a key of its own that may forward this port alone, and
// a tunnel of its own into the same sshd.
//
// The alias in a container leads to one sidecar, so a port that is wanted later cannot come by another one.
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
  /// Returns when the port is reachable. `tunnel` has all but on_state. @throws as ssh::Tunnel.
  SshExtension(std::shared_ptr<SshLease> lease, const HostPort& port, ssh::TunnelSettings tunnel,
               Deadline deadline);
  /// release().
  ~SshExtension() override;

  void release() override { end("released"); }
  [[nodiscard]] ExposureState state() const override { return life_.state(); }
  [[nodiscard]] std::string reason() const override { return life_.reason(); }
  /// Closes the tunnel, for that reason. Idempotent.
  void end(const std::string& reason) noexcept;
  [[nodiscard]] state::TunnelStats stats() const { return tunnel_.stats(); }

 private:
  const std::shared_ptr<SshLease> lease_;  // whose sidecar the tunnel dials
  LeaseLife life_;

  ssh::Tunnel tunnel_;  // the last, for its threads use what is above
};

}  // namespace hostnet::exposer
