// Properties of a lease.
#include "daemon/lease_object.hpp"

#include "dbus/names.hpp"

namespace hostnet::daemon {

LeaseObject::LeaseObject(sdbus::IConnection& connection, Tenure tenure, Callbacks callbacks)
    : AdaptorInterfaces(connection, dbus::kLeasePaths + tenure.lease.id),
      tenure_(std::move(tenure)),
      callbacks_(std::move(callbacks)) {
  registerAdaptor();
  getObject().emitInterfacesAddedSignal({dbus::kLeaseInterface});
  announced_ = true;
}

LeaseObject::~LeaseObject() {
  try {
    getObject().emitInterfacesRemovedSignal({dbus::kLeaseInterface});
  } catch (const sdbus::Error&) {
    // The bus has gone, and with it everybody who would want to know.
  }
  unregisterAdaptor();
}

void LeaseObject::announce(ExposureState state) {
  state_ = state;
  getObject().emitPropertiesChangedSignal(dbus::kLeaseInterface, {"State"});
}

void LeaseObject::Release(sdbus::Result<>&& result) {
  callbacks_.release(*this, *getObject().getCurrentlyProcessedMessage(), std::move(result));
}

std::vector<std::string> LeaseObject::Sources() {
  std::vector<std::string> sources;
  for (const auto source : tenure_.lease.sources) sources.push_back(source.to_string());
  if (tenure_.lease.mac) sources.push_back(tenure_.lease.mac->to_string());
  return sources;
}

std::vector<sdbus::Struct<std::string, std::uint16_t, std::uint16_t, std::uint64_t, std::uint64_t>>
LeaseObject::Counters() {
  std::vector<sdbus::Struct<std::string, std::uint16_t, std::uint16_t, std::uint64_t, std::uint64_t>> out;
  const auto& ports = tenure_.lease.ports;
  // The announcement, which carries every property, does not wait for a reading of all the rules there are.
  auto counted = announced_ ? callbacks_.counters(*this) : std::vector<exposer::PortTraffic>();
  counted.resize(ports.size());
  for (std::size_t i = 0; i < ports.size(); ++i)
    out.emplace_back(to_string(ports[i].protocol), ports[i].container, ports[i].host, counted[i].packets,
                     counted[i].bytes);
  return out;
}

}  // namespace hostnet::daemon
