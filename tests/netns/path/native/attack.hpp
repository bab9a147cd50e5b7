// Attacks: ways to reach a service on 127.0.0.1 from off the host. Each returns whether it succeeded: against
// a lease it must fail, against the recipe (blog_recipe.hpp) it must succeed.
#pragma once

#include "support/service.hpp"
#include "support/testbed.hpp"
#include "support/wire.hpp"

#include <functional>
#include <string>

namespace test {

/// Services that must stay private: TCP and UDP on 127.0.0.1, and one that listens on all addresses but
/// trusts callers from 127/8. The exposed service is on port 8088.
struct Secrets {
  static constexpr std::uint16_t port = 9999;
  static constexpr std::uint16_t exposed = 8088;

  Service tcp{loopback(port), "secret"};
  Service udp{loopback(port, SOCK_DGRAM), "secret"};
  Service trusting{listen_on({ip("0.0.0.0"), 5353}, SOCK_DGRAM), "trusting"};
  Service web{loopback(exposed), "web"};
};

using Attack = std::function<bool()>;

/// Sends TCP and UDP frames from this source to this address on `bridge` of the host; true if an answer comes
/// from 127/8, or if the secret UDP service received one.
bool frames_reach(const Secrets& secrets, const NetNs& from, const std::string& bridge, hostnet::Ipv4 source,
                  hostnet::Ipv4 destination, std::uint16_t port = Secrets::port);

/// As above, with a raw IP socket on eth0 instead of frames.
bool raw_packets_reach(const Secrets& secrets, const NetNs& from, hostnet::Ipv4 source);

/// Gives a container with CAP_NET_ADMIN a route for 127/8 through its eth0, for the container's life.
void route_loopback_out(const NetNs& netns, hostnet::Ipv4 gateway);

/// Sends UDP to 127.0.0.1 as uid 65534 without a capability, with SO_BINDTODEVICE; true if the service
/// received it.
bool nobody_reaches(const Secrets& secrets, const NetNs& from);

/// Sends UDP to a service open to all, with a source in 127/8; true if the service received it.
bool forged_caller_is_heard(const Secrets& secrets, const NetNs& from, const std::string& bridge,
                            hostnet::Ipv4 source, hostnet::Ipv4 destination);

}  // namespace test
