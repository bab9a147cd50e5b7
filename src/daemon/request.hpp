// What a caller of Expose() asks for, read from the message and checked before anything is looked up.
#pragma once

#include "core/ipv4.hpp"
#include "core/mac.hpp"
#include "hostnet/port.hpp"
#include "lease/lease.hpp"

#include <sdbus-c++/Types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::daemon {

/// As in the interface: (protocol, port that the container dials, port on 127.0.0.1).
using PortList = std::vector<sdbus::Struct<std::string, std::uint16_t, std::uint16_t>>;
using Options = std::map<std::string, sdbus::Variant>;

struct Request {
  int ifindex = 0;
  std::vector<HostPort> ports;  ///< Sorted, without duplicates, not empty.
  bool interactive = false;     ///< Whether the user may be asked for a password.
  std::string ifname;           ///< Which interface the caller believes it to be; empty: does not say.
  std::optional<Ipv4> gateway;
  std::optional<Ipv4> host_gateway;
  std::vector<Ipv4> sources;
  std::optional<Mac> mac;  ///< Only from this Ethernet address; with sources, from both.
  state::Lifetime lifetime = state::Lifetime::descriptor;
  std::optional<std::chrono::seconds> timeout;
  std::string label;
  bool require_listener = false;
  bool watch_listener = false;
};

/// The keys of `options` that read_request() knows.
std::vector<std::string> option_keys();

/// Pure. @throws Error{invalid_argument} naming what is wrong with which argument.
Request read_request(std::int32_t ifindex, const PortList& ports, const Options& options);

/// Back to the interface's form.
PortList to_ports(const std::vector<HostPort>& ports);

}  // namespace hostnet::daemon
