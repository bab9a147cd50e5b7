// A caller's Expose() arguments, read from the message and checked before any lookup.
#pragma once

#include "core/ipv4.hpp"
#include "core/mac.hpp"
#include "daemon/sdbus.hpp"
#include "hostnet/port.hpp"
#include "lease/lease.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::daemon {

/// As in the D-Bus interface: (protocol, port that the container dials, port of the service).
using PortList = std::vector<sdbus::Struct<std::string, std::uint16_t, std::uint16_t>>;
using Options = std::map<std::string, sdbus::Variant>;

struct Request {
  int ifindex = 0;
  std::vector<HostPort> ports;  ///< Sorted, without duplicates, not empty.
  bool interactive = false;     ///< Whether polkit may prompt the user for a password.
  std::string ifname;           ///< The interface name that the caller expects; empty: unspecified.
  std::optional<Ipv4> gateway;
  std::optional<Ipv4> host_gateway;
  std::vector<Ipv4> sources;
  std::optional<Mac> mac;  ///< Accept only this Ethernet address; with sources, both must match.
  state::Lifetime lifetime = state::Lifetime::descriptor;
  std::optional<std::chrono::seconds> timeout;
  std::string label;
  bool require_listener = false;
  bool watch_listener = false;
  std::vector<std::string> addresses;  ///< As given, one for each port as given; empty: all 127.0.0.1.
};

/// The option keys that read_request() knows.
std::vector<std::string> option_keys();

/// Pure. @throws Error{invalid_argument} naming the argument and its fault.
Request read_request(std::int32_t ifindex, const PortList& ports, const Options& options);

/// Converts back to the D-Bus interface's form.
PortList to_ports(const std::vector<HostPort>& ports);
/// The services' addresses, in the order of to_ports().
std::vector<std::string> to_addresses(const std::vector<HostPort>& ports);

}  // namespace hostnet::daemon
