// The only file that names every path. A new path is a folder and a row here.
#include "path/paths.hpp"

#include "lease/path_name.hpp"
#include "path/helper/helper.hpp"
#include "path/native/native.hpp"
#include "path/relay/relay_path.hpp"
#include "path/ssh/ssh.hpp"

#include <algorithm>
#include <array>

namespace hostnet {
namespace exposer {
namespace {

constexpr std::array<const PathDriver*, 4> kPaths{&kNativePath, &kHelperPath, &kSshPath, &kRelayPath};
constexpr const char* kAutomatic = "auto";

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
