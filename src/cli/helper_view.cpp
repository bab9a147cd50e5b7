// Reads and formats the helper's leases.
#include "cli/helper_view.hpp"

#include "cli/held.hpp"
#include "cli/lease_view.hpp"
#include "core/file.hpp"
#include "core/log.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"
#include "lease/port_json.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <ctime>

namespace hostnet::cli {
namespace {

std::string owner_of(const dbus::LeaseFacts& lease) {
  const auto command = command_of(lease.pid);
  return command.empty() ? "?" : command;
}

}  // namespace

std::vector<dbus::LeaseFacts> look_at_helper() {
  if (::geteuid() == 0) return {};
  try {
    return dbus::Client().leases(command_deadline());
  } catch (const Error& error) {
    log::debug("the helper's leases: {}", error.what());
    return {};
  }
}

json::Value to_json(const dbus::LeaseFacts& lease) {
  auto ports = to_json(lease.ports);
  for (std::size_t i = 0; i < lease.packets.size() && i < ports.size(); ++i) {
    ports[i]["connections"] = lease.packets[i];  // the rules see only the first packet of each
    ports[i]["bytes"] = lease.bytes[i];
  }
  return {{"id", lease.id},
          {"target", "bridge " + lease.interface},
          {"via", "helper"},
          {"state", lease.state},
          {"label", lease.label},
          {"interface", lease.interface},
          {"network", nullptr},
          {"gateway", lease.gateway},
          {"sources", lease.sources},
          {"unpinned", lease.unpinned.empty() ? std::nullopt : std::optional(lease.unpinned)},
          {"ports", std::move(ports)},
          {"lifetime", lease.lifetime},
          {"created", lease.created},
          {"expires", lease.expires != 0 ? std::optional(lease.expires) : std::nullopt},
          {"owner", {{"pid", lease.pid}, {"uid", lease.uid}, {"command", owner_of(lease)}}}};
}

Row row_of(const dbus::LeaseFacts& lease) {
  return {lease.id,
          "bridge " + lease.interface,
          "helper",
          ports_text(lease.ports),
          lease.interface,
          lease.gateway,
          fmt::format("{} ({})", owner_of(lease), lease.pid),
          span_text(std::time(nullptr) - static_cast<std::int64_t>(lease.created)),
          lease.label};
}

std::vector<Row> rows_of(const dbus::LeaseFacts& lease) {
  std::vector<Row> rows{
      {"lease", lease.id},
      {"via", "helper"},
      {"ports", ports_text(lease.ports)},
      {"interface", lease.interface},
      {"gateway", lease.gateway},
      {"sources", lease.sources.empty() ? "every address on the bridge" : list_of(lease.sources)},
      {"pinned", lease.unpinned.empty()
                     ? lease.sources.empty() ? "not needed: every address on the bridge may use it" : "yes"
                     : "unpinned: " + lease.unpinned},
      {"lifetime", lease.lifetime},
      {"owner", fmt::format("{} (pid {}, uid {})", owner_of(lease), lease.pid, lease.uid)},
      {"label", lease.label},
      {"state", lease.state}};
  for (std::size_t i = 0; i < lease.packets.size() && i < lease.ports.size(); ++i)
    rows.push_back({lease.ports[i].to_string(), fmt::format("{} connections", lease.packets[i])});
  return rows;
}

}  // namespace hostnet::cli
