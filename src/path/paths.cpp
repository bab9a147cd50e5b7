// The only file that names every path. A new path is a folder and a row here.
#include "path/paths.hpp"

#include "core/join.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"
#include "lease/path_name.hpp"
#include "path/helper/helper.hpp"
#include "path/native/native.hpp"
#include "path/relay/relay_path.hpp"
#include "path/ssh/ssh.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace hostnet {
namespace exposer {
namespace {

constexpr std::array<const PathDriver*, 4> kPaths{&kNativePath, &kHelperPath, &kSshPath, &kRelayPath};
constexpr const char* kAutomatic = "auto";

Error not_a_path(std::string_view word) {
  std::vector<std::string_view> names{kAutomatic};
  for (const auto* const path : kPaths) names.emplace_back(path->name);
  return {Errc::invalid_argument, fmt::format("{} is not a path", quote(word)),
          fmt::format("give {} or {}, or several in the order to try: relay,ssh",
                      join(names.begin(), names.end() - 1, ", "), names.back())};
}

void append(PathOrder& order, const PathDriver* path) {
  if (std::ranges::find(order, path) != order.end())
    throw Error(Errc::invalid_argument, fmt::format("path {} is named twice", path->name),
                "name each path once");
  order.push_back(path);
}

}  // namespace

PathTable paths() noexcept { return kPaths; }

const PathDriver* find_path(PathTable table, std::string_view name) noexcept {
  const auto found = std::ranges::find(table, name, &PathDriver::name);
  return found == table.end() ? nullptr : *found;
}

const PathDriver* driver_of(Path path) noexcept {
  if (path == Path::automatic) return nullptr;
  const auto* const found = std::ranges::find(kPaths, path, &PathDriver::path);
  return found == kPaths.end() ? nullptr : *found;
}

PathOrder parse_order(std::string_view text) {
  if (trim(text) == kAutomatic) return {};
  PathOrder order;
  for (const auto part : split(text, ',')) {
    const auto name = trim(part);
    if (name == kAutomatic)
      throw Error(
          Errc::invalid_argument, fmt::format("{} has other paths beside {}", quote(text), kAutomatic),
          fmt::format("{} stands alone: it is {}", kAutomatic, order_text({kPaths.begin(), kPaths.end()})));
    const auto* const path = find_path(kPaths, name);
    if (path == nullptr) throw not_a_path(name);
    append(order, path);
  }
  return order;
}

std::string order_text(const PathOrder& order) {
  if (order.empty()) return kAutomatic;
  std::string out;
  for (const auto* const path : order) out += fmt::format("{}{}", out.empty() ? "" : ",", path->name);
  return out;
}

PathOrder order_of(const ExposerOptions& options) {
  PathOrder order;
  if (options.paths.empty()) {
    if (const auto* const path = driver_of(options.path)) order.push_back(path);
    return order;
  }
  for (const auto path : options.paths) {
    const auto* const driver = driver_of(path);
    if (driver == nullptr)
      throw Error(Errc::invalid_argument, "ExposerOptions::paths has a value that is not one path",
                  "leave it empty for the automatic order");
    append(order, driver);
  }
  return order;
}

std::string_view port_fault_of(PathTable table, const HostPort& port, const Target& target) {
  if (port.protocol != Protocol::tcp) return {};
  for (const auto* const driver : table) {
    if (!may_serve(*driver, target)) continue;
    if (const auto fault = driver->port_fault(port.container); !fault.empty()) return fault;
  }
  return {};
}

bool may_serve(const PathDriver& driver, const Target& target) noexcept {
  switch (target.kind()) {
    case Target::Kind::container:
      return true;
    case Target::Kind::network:
      return driver.serves_networks;
    case Target::Kind::bridge:
    case Target::Kind::netns:
      break;
  }
  return driver.serves_bridges;
}

}  // namespace exposer

const char* to_string(Path path) noexcept {
  const auto* const driver = exposer::driver_of(path);
  return driver == nullptr ? exposer::kAutomatic : driver->name;
}

Path path_named(std::string_view name) noexcept {
  const auto* const driver = exposer::find_path(exposer::paths(), name);
  return driver == nullptr ? Path::automatic : driver->path;
}

bool keeps_records(std::string_view path) noexcept {
  const auto* const driver = exposer::find_path(exposer::paths(), path);
  return driver != nullptr && driver->clear_away != nullptr;
}

}  // namespace hostnet
