// One running container: the first of its networks that is a bridge here, its address and its bridge port
// there, and its process.
#include "core/file.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"
#include "target/attached.hpp"
#include "target/endpoint.hpp"
#include "target/named.hpp"
#include "target/network_mode.hpp"
#include "target/resolve.hpp"

#include <fmt/format.h>

#include <chrono>
#include <thread>
#include <utility>
#include <vector>

namespace hostnet::exposer {
namespace {

Error not_running(const engine::Container& container) {
  return {Errc::not_found, fmt::format("container {} is not running", container.name),
          fmt::format("start it: {} start {}", container.command, shell_word(container.name))};
}

// For a container without a process: the kernel sees its end first, the engine a moment later. Waits 500 ms
// at most.
bool container_has_ended(engine::Client& client, const engine::Container& container, Deadline deadline) {
  constexpr std::chrono::milliseconds pause{50};
  for (int left = 10; left > 0; --left) {
    const auto now = client.container(container.id, deadline);
    if (!now.running || now.pid != container.pid) return true;
    std::this_thread::sleep_for(pause);
  }
  return false;
}

}  // namespace

// The container on one of its networks, without what does not depend on the network.
Resolved Resolver::on_network_of(const engine::Container& container, const engine::Endpoint& endpoint,
                                 bool force, Deadline deadline) {
  if (!endpoint.address)
    throw Error(Errc::no_path, "it has no IPv4 address there, and this path carries IPv4 only",
                "take the ssh path: --via ssh");
  auto [network, out] =
      on_bridge(endpoint.network_id.empty() ? endpoint.network : endpoint.network_id, force, deadline);
  if (const auto where = attached(rtnl_, container, out.bridge.ifindex, *endpoint.address);
      where != Attached::here) {
    if (where == Attached::unseen && container_has_ended(client(), container, deadline))
      throw not_running(container);
    throw Error(
        Errc::no_path,
        fmt::format(
            "container {} is not on bridge {} of this network namespace: {}", container.name, out.bridge.name,
            where == Attached::unseen
                ? fmt::format("there is no process {} here", container.pid)
                : fmt::format("the engine at {} has another bridge of that name", client().address().socket)),
        "run tc-hostnet where the engine's bridges and processes are, or take the ssh path: --via ssh");
  }
  out.sources = {*endpoint.address};
  return std::move(out);
}

// The first of its networks that serves. The error names each network with the reason against it; if there
// is only one, it is that network's.
Resolved Resolver::on_any_network_of(const engine::Container& container, bool force, Deadline deadline) {
  const auto endpoints = endpoints_of(container, true);
  std::vector<Against> reasons;
  for (const auto& endpoint : endpoints) {
    try {
      return on_network_of(container, endpoint, force, deadline);
    } catch (const Error& error) {
      const bool is_of_network = error.code() == Errc::no_path || error.code() == Errc::invalid_argument;
      if (!is_of_network || endpoints.size() == 1) throw;
      reasons.push_back({endpoint.network, error.what()});
    }
  }
  throw Error(Errc::no_path, reasons_against(container, reasons),
              "connect it to a bridge network of this host, or take the ssh path: --via ssh");
}

Resolved Resolver::container(const std::string& name, bool with_alias, bool force, Deadline deadline) {
  const auto container = container_named(client(), name, deadline);
  check_network_mode(client(), container, deadline);
  if (!container.running || container.pid <= 0) throw not_running(container);
  refuse_remote(fmt::format("container {}", container.name), deadline);
  auto out = on_any_network_of(container, force, deadline);
  if (with_alias) out.aliases = {engine::alias_record(container)};
  // The bridge is on this machine, so its processes are too, unless the pid is hidden from this process.
  if (const auto start = process_start_time(container.pid))
    out.served = state::ProcessId{.pid = container.pid, .start = *start};
  else
    out.port.fault = fmt::format("its process {} is not visible from here", container.pid);
  if (out.served) out.port = bridge_port_of(rtnl_, container.pid, out.bridge.ifindex, out.sources.front());
  return out;
}

}  // namespace hostnet::exposer
