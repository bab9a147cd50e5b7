// Compares a peer with the container's addresses and the host's own.
#include "path/relay/peers.hpp"

#include "core/log.hpp"

#include <algorithm>
#include <exception>
#include <utility>

namespace hostnet::relay {

void Peers::restrict_to(std::vector<Ipv4> addresses) {
  const std::scoped_lock lock(mutex_);
  only_ = std::move(addresses);
  waits_ = false;
}

bool Peers::are_known() const {
  const std::scoped_lock lock(mutex_);
  return !waits_;
}

bool Peers::admit(Ipv4 peer) noexcept {
  try {
    {
      const std::scoped_lock lock(mutex_);
      if (waits_ || (only_ && std::ranges::find(*only_, peer) == only_->end())) return false;
    }
    return !own_.has(peer);
  } catch (const std::exception& error) {
    log::warn("relay: a connection from {} is refused: {}", peer.to_string(), error.what());
    return false;
  }
}

}  // namespace hostnet::relay
