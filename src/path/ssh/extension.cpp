// A port added to a running lease.
#include "path/ssh/extension.hpp"

#include "core/log.hpp"
#include "path/ssh/lease.hpp"
#include "path/ssh/ssh.hpp"

#include <utility>

namespace hostnet::exposer {
namespace {

ssh::TunnelSettings with(ssh::TunnelSettings settings,
                         std::function<void(ssh::TunnelState, const std::string&)> on_state) {
  settings.on_state = std::move(on_state);
  return settings;
}

}  // namespace

SshExtension::SshExtension(std::shared_ptr<SshLease> lease, const HostPort& port, ssh::TunnelSettings tunnel,
                           Deadline deadline)
    : lease_(std::move(lease)),
      tunnel_(with(std::move(tunnel),
                   // May be called before the constructor's body has run.
                   [this, of = lease_->id, text = port.to_string()](ssh::TunnelState state,
                                                                    const std::string& why) {
                     if (state != ssh::TunnelState::failed) return;
                     if (!life_.begin_end(ExposureState::failed, why)) return;
                     life_.over();
                     log::error("lease {}: port {} has failed: {}", of, text, why);
                   }),
              deadline) {
  id = lease_->id;
  via = kSshPath.name;
  ports = {port};
  gateway = lease_->gateway;
  interface = lease_->interface;
}

SshExtension::~SshExtension() { end("released"); }

void SshExtension::end(const std::string& reason) noexcept {
  const bool ours = life_.begin_end(ExposureState::released, reason);
  tunnel_.close();  // also for a second caller, which waits there for the first
  if (ours) life_.over();
  lease_->nudge();
}

}  // namespace hostnet::exposer
