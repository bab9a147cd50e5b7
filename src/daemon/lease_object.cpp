// The properties of a lease.
#include "daemon/lease_object.hpp"

#include "daemon/guard.hpp"
#include "dbus/names.hpp"

namespace hostnet::daemon {
namespace {

// C frames call getters, as they call methods.
template <class Function>
auto property(Function&& get) {
  return answered("a property", std::forward<Function>(get));
}

}  // namespace

LeaseObject::LeaseObject(sdbus::IConnection& connection, HeldLease held_lease, Callbacks callbacks)
    : AdaptorInterfaces(connection, sdbus::ObjectPath(dbus::kLeasePaths + held_lease.lease.id)),
      held_lease_(std::move(held_lease)),
      callbacks_(std::move(callbacks)) {
  registerAdaptor();
  getObject().emitInterfacesAddedSignal({InterfaceName(dbus::kLeaseInterface)});
  announced_ = true;
}

LeaseObject::~LeaseObject() {
  // A failure means that the bus is gone, and its clients with it.
  guarded("the end of a lease",
          [&] { getObject().emitInterfacesRemovedSignal({InterfaceName(dbus::kLeaseInterface)}); });
  unregisterAdaptor();
}

void LeaseObject::announce(ExposureState state) {
  state_ = state;
  getObject().emitPropertiesChangedSignal(InterfaceName(dbus::kLeaseInterface), {MemberName("State")});
}

void LeaseObject::Release(sdbus::Result<>&& result) {
  answered("Release", [&] { callbacks_.release(*this, current_message(getObject()), std::move(result)); });
}

std::string LeaseObject::Id() {
  return property([&] { return held_lease_.lease.id; });
}
std::string LeaseObject::Owner() {
  return property([&] { return held_lease_.owner; });
}
std::uint32_t LeaseObject::OwnerUid() { return held_lease_.lease.owner.uid; }
std::uint32_t LeaseObject::OwnerPid() { return static_cast<std::uint32_t>(held_lease_.lease.owner.pid); }
std::int32_t LeaseObject::Ifindex() { return held_lease_.lease.ifindex; }
std::string LeaseObject::Interface() {
  return property([&] { return held_lease_.interface; });
}
std::string LeaseObject::Gateway() {
  return property([&] { return held_lease_.lease.gateways.front().to_string(); });
}
PortList LeaseObject::Ports() {
  return property([&] { return to_ports(held_lease_.lease.ports); });
}
std::vector<std::string> LeaseObject::Addresses() {
  return property([&] { return to_addresses(held_lease_.lease.ports); });
}
std::string LeaseObject::Unpinned() {
  return property([&] { return held_lease_.exposure->unpinned(); });
}
std::string LeaseObject::Label() {
  return property([&] { return held_lease_.lease.label; });
}
std::uint64_t LeaseObject::Created() { return static_cast<std::uint64_t>(held_lease_.lease.created); }
std::uint64_t LeaseObject::Expires() {
  return static_cast<std::uint64_t>(held_lease_.lease.expires.value_or(0));
}
std::string LeaseObject::Lifetime() {
  return property([&] { return std::string(to_string(held_lease_.lease.owner.lifetime)); });
}
std::string LeaseObject::State() {
  return property([&] { return std::string(to_string(state_)); });
}

std::vector<std::string> LeaseObject::Sources() {
  return property([&] {
    std::vector<std::string> sources;
    for (const auto source : held_lease_.lease.sources) sources.push_back(source.to_string());
    if (held_lease_.lease.mac) sources.push_back(held_lease_.lease.mac->to_string());
    return sources;
  });
}

std::vector<sdbus::Struct<std::string, std::uint16_t, std::uint16_t, std::uint64_t, std::uint64_t>>
LeaseObject::Counters() {
  return property([&] {
    std::vector<sdbus::Struct<std::string, std::uint16_t, std::uint16_t, std::uint64_t, std::uint64_t>> out;
    const auto& ports = held_lease_.lease.ports;
    // The announcement carries every property, before any reading includes this lease.
    auto counted = announced_ ? callbacks_.counters(held_lease_) : std::vector<exposer::PortTraffic>();
    counted.resize(ports.size());
    for (std::size_t i = 0; i < ports.size(); ++i)
      out.emplace_back(to_string(ports[i].protocol), ports[i].container, ports[i].host, counted[i].packets,
                       counted[i].bytes);
    return out;
  });
}

}  // namespace hostnet::daemon
