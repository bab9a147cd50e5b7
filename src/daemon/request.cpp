// Reads Expose()'s arguments. Rejects everything unknown, ignores nothing.
#include "daemon/request.hpp"

#include "core/loopback.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"
#include "lease/checks.hpp"
#include "target/interface_name.hpp"

#include <fmt/format.h>

#include <array>

namespace hostnet::daemon {
namespace {

constexpr std::size_t kMaxPorts = 1024;
constexpr std::size_t kMaxSources = 64;
constexpr std::uint64_t kMaxTimeout = 366UL * 24 * 3600;  // seconds

[[noreturn]] void reject(const std::string& why) { throw Error(Errc::invalid_argument, why); }

template <class T>
T value_of(const std::string& key, const sdbus::Variant& variant, const char* type) {
  if (!variant.containsValueOfType<T>())
    reject(fmt::format("option {} must be of D-Bus type {}", quote(key), type));
  return variant.get<T>();
}

Ipv4 address_of(const std::string& key, const std::string& text) {
  const auto address = Ipv4::parse(text);
  if (!address) reject(fmt::format("option {}: {} is not an IPv4 address", quote(key), quote(text)));
  return *address;
}

// A container that does not run yet has no IP address, but its Ethernet address may be known in advance.
void add_source(Request& request, const std::string& key, const std::string& text) {
  if (const auto address = Ipv4::parse(text)) {
    request.sources.push_back(*address);
  } else if (const auto mac = Mac::parse(text)) {
    if (mac->is_group())
      reject(fmt::format("option {}: {} is a group address", quote(key), mac->to_string()));
    if (request.mac) reject(fmt::format("option {} has more than one Ethernet address", quote(key)));
    request.mac = *mac;
  } else {
    reject(fmt::format("option {}: {} is neither an IPv4 nor an Ethernet address", quote(key), quote(text)));
  }
}

struct Option {
  const char* key;
  void (*read)(Request& request, const std::string& key, const sdbus::Variant& value);
};

// The options that a caller may pass.
constexpr std::array kOptions{
    Option{"interactive",
           [](Request& request, const std::string& key, const sdbus::Variant& value) {
             request.interactive = value_of<bool>(key, value, "b");
           }},
    Option{"ifname",
           [](Request& request, const std::string& key, const sdbus::Variant& value) {
             request.ifname = value_of<std::string>(key, value, "s");
             if (const auto fault = exposer::interface_name_fault(request.ifname))
               reject(fmt::format("option {} is not an interface name: {}", quote(key), *fault));
           }},
    Option{"gateway",
           [](Request& request, const std::string& key, const sdbus::Variant& value) {
             request.gateway = address_of(key, value_of<std::string>(key, value, "s"));
           }},
    Option{"host-gateway",
           [](Request& request, const std::string& key, const sdbus::Variant& value) {
             request.host_gateway = address_of(key, value_of<std::string>(key, value, "s"));
           }},
    Option{"sources",
           [](Request& request, const std::string& key, const sdbus::Variant& value) {
             const auto texts = value_of<std::vector<std::string>>(key, value, "as");
             // An absent option means all containers; an empty list is a caller's mistake.
             if (texts.empty())
               reject(fmt::format("option {} is empty: omit it to allow all containers", quote(key)));
             if (texts.size() > kMaxSources)
               reject(fmt::format("option {} has more than {} addresses", quote(key), kMaxSources));
             for (const auto& text : texts) add_source(request, key, text);
           }},
    Option{"lifetime",
           [](Request& request, const std::string& key, const sdbus::Variant& value) {
             const auto text = value_of<std::string>(key, value, "s");
             const auto lifetime = state::parse_lifetime(text);
             if (!lifetime || *lifetime == state::Lifetime::process)
               reject(
                   fmt::format("option {}: {} is not fd, connection or persistent", quote(key), quote(text)));
             request.lifetime = *lifetime;
           }},
    Option{"timeout",
           [](Request& request, const std::string& key, const sdbus::Variant& value) {
             const auto seconds = value_of<std::uint64_t>(key, value, "t");
             if (seconds == 0 || seconds > kMaxTimeout)
               reject(fmt::format("option {} must be 1 to {} seconds", quote(key), kMaxTimeout));
             request.timeout = std::chrono::seconds{seconds};
           }},
    Option{"label",
           [](Request& request, const std::string& key, const sdbus::Variant& value) {
             request.label = value_of<std::string>(key, value, "s");
           }},
    Option{"require-listener",
           [](Request& request, const std::string& key, const sdbus::Variant& value) {
             request.require_listener = value_of<bool>(key, value, "b");
           }},
    Option{"watch-listener",
           [](Request& request, const std::string& key, const sdbus::Variant& value) {
             request.watch_listener = value_of<bool>(key, value, "b");
           }},
    Option{"addresses",
           [](Request& request, const std::string& key, const sdbus::Variant& value) {
             request.addresses = value_of<std::vector<std::string>>(key, value, "as");
             for (const auto& text : request.addresses)
               if (const auto address = Ipv4::parse(text);
                   !text.empty() && (!address || !address->is_loopback()))
                 reject(
                     fmt::format("option {}: {} is not an address of 127.0.0.0/8", quote(key), quote(text)));
           }},
};

Protocol protocol_of(const std::string& text) {
  for (const auto protocol : {Protocol::tcp, Protocol::udp})
    if (text == to_string(protocol)) return protocol;
  reject(fmt::format("protocol {} is neither tcp nor udp", quote(text)));
}

}  // namespace

std::vector<std::string> option_keys() {
  std::vector<std::string> keys;
  for (const auto& option : kOptions) keys.emplace_back(option.key);
  return keys;
}

Request read_request(std::int32_t ifindex, const PortList& ports, const Options& options) {
  if (ifindex <= 0) reject(fmt::format("ifindex {} is not an interface", ifindex));
  if (ports.size() > kMaxPorts) reject(fmt::format("{} ports are too many for one lease", ports.size()));
  Request request;
  request.ifindex = ifindex;
  for (const auto& [key, value] : options) {
    const auto* const option =
        std::ranges::find_if(kOptions, [&wanted = key](const Option& one) { return wanted == one.key; });
    if (option == kOptions.end())
      reject(fmt::format("option {} is unknown; the options are {}", quote(key), list_of(option_keys())));
    option->read(request, key, value);
  }
  ExposeRequest common{.target = Target::bridge(request.ifname)};
  common.label = request.label;
  const auto& addresses = request.addresses;
  if (!addresses.empty() && addresses.size() != ports.size())
    reject(fmt::format("option 'addresses' has {} addresses for {} ports", addresses.size(), ports.size()));
  for (std::size_t i = 0; i < ports.size(); ++i) {
    HostPort one;
    one.protocol = protocol_of(ports[i].get<0>());
    one.container = ports[i].get<1>();
    one.host = ports[i].get<2>();
    if (!addresses.empty()) one.address = addresses[i];
    common.ports.push_back(std::move(one));
  }
  try {
    request.ports = exposer::checked_ports(common);
  } catch (const Error& error) {
    // Here a conflict (one port that leads to two) is the caller's mistake.
    throw Error(Errc::invalid_argument, error.what());
  }
  return request;
}

PortList to_ports(const std::vector<HostPort>& ports) {
  PortList out;
  for (const auto& port : ports) out.emplace_back(to_string(port.protocol), port.container, port.host);
  return out;
}

std::vector<std::string> to_addresses(const std::vector<HostPort>& ports) {
  std::vector<std::string> out;
  for (const auto& port : ports) out.push_back(ipv4_of(port).value_or(kLoopback).to_string());
  return out;
}

}  // namespace hostnet::daemon
