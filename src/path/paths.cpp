// The only file that knows every path. A new one is a folder, a value of `Path` and a row here.
#include "path/paths.hpp"

#include "lease/path_name.hpp"
#include "path/helper/helper.hpp"
#include "path/native/native.hpp"
#include "path/ssh/ssh.hpp"

#include <algorithm>
#include <array>

namespace hostnet {
namespace exposer {
namespace {

constexpr std::array<const PathDriver*, 3> kPaths{&kNativePath, &kHelperPath, &kSshPath};
constexpr const char* kAutomatic = "auto";

}  // namespace

std::span<const PathDriver* const> paths() noexcept { return kPaths; }

const PathDriver* driver_of(Path path) noexcept {
  const auto* const found = std::ranges::find(kPaths, path, &PathDriver::path);
  return found == kPaths.end() ? nullptr : *found;
}

bool goes_by_sidecar(Path path) noexcept {
  const auto* const driver = driver_of(path);
  return driver != nullptr && driver->by_sidecar;
}

bool may_serve(const PathDriver& driver, const Target& target) noexcept {
  return driver.serves_bridges ||
         (target.kind() != Target::Kind::bridge && target.kind() != Target::Kind::netns);
}

}  // namespace exposer

const char* to_string(Path path) noexcept {
  const auto* const driver = exposer::driver_of(path);
  return driver == nullptr ? exposer::kAutomatic : driver->name;
}

std::optional<Path> parse_path(std::string_view text) noexcept {
  if (text == exposer::kAutomatic) return Path::automatic;
  for (const auto* const driver : exposer::paths())
    if (text == driver->name) return driver->path;
  return std::nullopt;
}

}  // namespace hostnet
