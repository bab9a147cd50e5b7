// A later port's life.
#include "exposer/ssh_extension.hpp"

#include "core/log.hpp"
#include "exposer/ssh_lease.hpp"

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
                   // It may be called before the body below has run.
                   [this, of = lease_->id, text = port.to_string()](ssh::TunnelState state,
                                                                    const std::string& why) {
                     if (state != ssh::TunnelState::failed) return;
                     const std::lock_guard lock(mutex_);
                     if (state_ != ExposureState::active) return;
                     state_ = ExposureState::failed;
                     reason_ = why;
                     log::error("lease {}: its port {} has failed: {}", of, text, why);
                   }),
              deadline) {
  id = lease_->id;
  via = Path::ssh;
  ports = {port};
  gateway = lease_->gateway;
  interface = lease_->interface;
}

SshExtension::~SshExtension() { end("released"); }

void SshExtension::end(const std::string& reason) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (state_ == ExposureState::active) {
      state_ = ExposureState::released;
      reason_ = reason;
    }
  }
  tunnel_.close();
  lease_->nudge();
}

ExposureState SshExtension::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

std::string SshExtension::reason() const {
  const std::lock_guard lock(mutex_);
  return reason_;
}

}  // namespace hostnet::exposer
