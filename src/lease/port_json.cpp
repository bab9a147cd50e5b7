// One object per port.
#include "lease/port_json.hpp"

#include <utility>

namespace hostnet {

json::Value to_json(const std::vector<HostPort>& ports) {
  auto out = json::array();
  for (const auto& port : ports) {
    json::Value one{
        {"host", port.host}, {"container", port.container}, {"protocol", to_string(port.protocol)}};
    if (!port.socket.empty()) one["socket"] = port.socket;
    if (!port.address.empty()) one["address"] = port.address;
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace hostnet
