// Two ways: by the container's Ethernet address, or between Podman's init and start.
#include "path/native/ahead.hpp"

#include "core/file.hpp"
#include "core/forked.hpp"
#include "core/log.hpp"
#include "core/strings.hpp"
#include "core/thread.hpp"
#include "hostnet/error.hpp"
#include "lease/checks.hpp"
#include "lease/journal.hpp"
#include "netlink/link.hpp"
#include "path/native/holder.hpp"
#include "path/native/native.hpp"
#include "target/attached.hpp"
#include "target/bridge_port.hpp"
#include "target/bridge_to_come.hpp"
#include "target/endpoint.hpp"
#include "target/named.hpp"

#include <fmt/format.h>

#include <map>
#include <mutex>

namespace hostnet::exposer {
namespace {

constexpr std::chrono::seconds kRestrictDeadline{10};

// One holder for all containers of a process, so that they share a thread, an owner and the table checks.
std::shared_ptr<Holder> shared_holder(const ExposerOptions& options) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<Holder>> holders;
  const auto folder = state::runtime_dir(options.runtime_dir);
  Holder::Settings settings;
  settings.runtime_dir = folder;
  settings.firewall = options.firewall;
  if (options.on_state) {
    settings.on_end = by_notifier(options.on_state);
    return std::make_shared<Holder>(std::move(settings));
  }
  // A holder belongs to one network namespace and to the process that runs its thread.
  const auto key = fmt::format("{} {} {}", fork_generation(), to_string(options.firewall),
                               state::namespace_dir(folder).string());
  const std::scoped_lock lock(mutex);
  auto holder = holders[key].lock();
  if (!holder) {
    holder = std::make_shared<Holder>(std::move(settings));
    holders[key] = holder;
  }
  return holder;
}

Holder::Served served_by(const engine::Container& container) {
  const auto& endpoint = endpoint_of(container, true);
  Holder::Served served{.target = Target::container(container.name).to_string(),
                        .source = endpoint.address.value(),
                        .process = std::nullopt};
  // The bridge is on this machine, so its processes are too, unless the pid is hidden from this process.
  if (const auto start = process_start_time(container.pid))
    served.process = state::ProcessId{.pid = container.pid, .start = *start};
  return served;
}

// Without a visible process there is no binding: the address alone decides.
PortFound port_of(const std::string& interface, const Holder::Served& served) {
  if (!served.process) return {.fault = "its process is not visible from here"};
  try {
    netlink::Rtnl rtnl;
    const auto bridge = rtnl.link(interface);
    if (bridge) return bridge_port_of(rtnl, served.process->pid, bridge->ifindex, served.source);
    return {.fault = fmt::format("bridge {} is gone", interface)};
  } catch (const Error& error) {
    return {.fault = error.what()};
  }
}

void restrict_or_close(Holder& holder, const std::string& lease, const std::string& interface,
                       Holder::Served served) noexcept {
  try {
    auto port = port_of(interface, served);
    served.port = std::move(port.name);
    served.unpinned = std::move(port.fault);
    holder.restrict_to(lease, served, Deadline::after(kRestrictDeadline));
    warn_if_unpinned(lease, holder.unpinned(lease));
  } catch (const std::exception& error) {
    const auto* const known = dynamic_cast<const Error*>(&error);
    if (known != nullptr && known->code() == Errc::not_found) return;  // the lease has already ended
    log::error("lease {} cannot be narrowed to {} and is closed: {}", lease, served.target, error.what());
    try {
      holder.release(lease);
    } catch (const std::exception& failure) {
      log::error("lease {}: {}", lease, failure.what());
    }
  }
}

class NativeAhead : public AheadLease {
 public:
  NativeAhead(const ExposerOptions& options, const AheadRequest& request)
      : engine_(options.engine),
        holder_(shared_holder(options)),
        wanted_{.target = Target::network(request.network), .ports = request.ports, .write_alias = false} {}

  void started(const engine::Container& container, Deadline deadline) override {
    const auto served = served_by(container);
    check_mac(container);
    // Podman removes a bridge with its last container and makes a new one for the next container, which is
    // this one.
    if (exposure.state() != ExposureState::active) hold(served.target, {served.source}, deadline);
    check_attached(container, served);
    // The ports are already reachable. Narrowing the forward walks all of conntrack, about 25 ms, so a thread
    // does it.
    restricting_ =
        start_thread("tchn-restrict", [holder = holder_, id = exposure.id(), on = exposure.interface(),
                                       served] { restrict_or_close(*holder, id, on, served); });
  }

 protected:
  void hold(std::string target, std::vector<Ipv4> sources, Deadline deadline) {
    auto prepared = prepare(std::span(&wanted_, 1), engine_, deadline, Caller::program);
    auto& lease = prepared.leases.front();
    lease.target = std::move(target);
    lease.sources = std::move(sources);
    lease.mac = mac;
    exposure = std::move(holder_->hold(std::move(prepared.leases), prepared.bridges, deadline).front());
    gateway = exposure.gateway();
  }

  std::string engine_;
  std::shared_ptr<Holder> holder_;
  ExposeRequest wanted_;

 private:
  // The forward will be for the address. On another bridge than the container's, that address belongs to
  // another container.
  void check_attached(const engine::Container& container, const Holder::Served& served) const {
    netlink::Rtnl rtnl;
    const auto bridge = rtnl.link(exposure.interface());
    if (bridge && attached(rtnl, container, bridge->ifindex, served.source) == Attached::elsewhere)
      throw Error(Errc::no_path, fmt::format("container {} is not on bridge {} of this network namespace",
                                             container.name, bridge->name));
  }

  std::jthread restricting_;
};

// Sets the forward up before the engine creates the container.
class ByMac : public NativeAhead {
 public:
  ByMac(const ExposerOptions& options, const AheadRequest& request, Deadline deadline)
      : NativeAhead(options, request) {
    mac = Mac::random();
    hold(fmt::format("a new container on network {}", request.network), {}, deadline);
  }
};

// There is no bridge yet; initialised() sets the forward up when the bridge and the container's address
// exist.
class BetweenInitAndStart : public NativeAhead {
 public:
  BetweenInitAndStart(const ExposerOptions& options, const AheadRequest& request, Ipv4 network_gateway)
      : NativeAhead(options, request) {
    // initialised() is too late for another path.
    Listeners listeners;
    const auto ports = checked_ports(wanted_);
    for (const auto& port : ports) check_ipv4_service(port, "native path");
    check_host_ports(wanted_, ports, listeners, ipv4_loopback(wanted_), Caller::program);
    gateway = network_gateway.to_string();
    wants_init = true;
  }

  void initialised(const engine::Container& container, Deadline deadline) override {
    for (const auto& endpoint : container.endpoints) {
      if (!endpoint.address) continue;
      const auto promised = gateway;
      hold(Target::container(container.name).to_string(), {*endpoint.address}, deadline);
      if (gateway != promised)
        throw Error(Errc::failure,
                    fmt::format("the network's gateway changed from {} to {}", promised, gateway));
      return;
    }
    throw Error(Errc::engine_error,
                fmt::format("container {} is initialised but has no address", container.name));
  }
};

}  // namespace

std::unique_ptr<AheadLease> native_ahead(const ExposerOptions& options, const AheadRequest& request,
                                         Deadline deadline) {
  engine::Client client(engine::Address::find(options.engine));
  const auto network = network_named(client, request.network, deadline);
  if (bridge_will_come(client, network, deadline) && network.gateway)
    return std::make_unique<BetweenInitAndStart>(options, request, *network.gateway);
  return std::make_unique<ByMac>(options, request, deadline);
}

}  // namespace hostnet::exposer
