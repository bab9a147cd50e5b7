// A check that the leases ahead of several paths share.
#include "path/ahead.hpp"

#include "hostnet/error.hpp"
#include "target/endpoint.hpp"

#include <fmt/format.h>

namespace hostnet::exposer {

void AheadLease::check_mac(const engine::Container& container) const {
  if (mac && Mac::parse(endpoint_of(container, false).mac) != mac)
    throw Error(
        Errc::no_path,
        fmt::format("the engine did not give container {} the requested Ethernet address", container.name));
}

}  // namespace hostnet::exposer
