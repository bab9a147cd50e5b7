// Finds the folder from the environment and the user database.
#include "lease/runtime_dir.hpp"

#include "hostnet/error.hpp"

#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <optional>

namespace hostnet::state {
namespace {

namespace fs = std::filesystem;

constexpr const char* kVariable = "TC_HOSTNET_RUNTIME_DIR";
constexpr const char* kName = "tc-hostnet";

// Ignores relative paths, as the XDG Base Directory Specification requires.
std::optional<fs::path> absolute_path_in(const char* variable) {
  const char* const value = std::getenv(variable);
  return value != nullptr && *value == '/' ? std::optional<fs::path>(value) : std::nullopt;
}

std::optional<fs::path> home_in_database() {
  std::array<char, 16384> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(::geteuid(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr ||
      found->pw_dir == nullptr || *found->pw_dir != '/')
    return std::nullopt;
  return fs::path(found->pw_dir);
}

// $HOME survives a change of user (su, setpriv) and then names a folder that this user may not write.
fs::path home() {
  const auto home_folder = absolute_path_in("HOME");
  struct stat status {};
  if (home_folder && ::stat(home_folder->c_str(), &status) == 0 && status.st_uid == ::geteuid())
    return *home_folder;
  if (auto known = home_in_database()) return *std::move(known);
  if (home_folder) return *home_folder;
  throw Error(Errc::failure, fmt::format("uid {} has no home folder to keep leases in", ::geteuid()),
              fmt::format("set {} to a folder of your own", kVariable));
}

}  // namespace

fs::path runtime_dir(const std::string& configured) {
  if (!configured.empty()) return fs::absolute(configured);
  const char* const environment = std::getenv(kVariable);
  return environment != nullptr && *environment != '\0' ? fs::absolute(environment)
                                                        : fs::path("/run") / kName;
}

fs::path user_dir(const std::string& configured) {
  const char* const environment = std::getenv(kVariable);
  const bool chosen = !configured.empty() || (environment != nullptr && *environment != '\0');
  if (chosen || ::geteuid() == 0) return runtime_dir(configured);
  for (const char* const variable : {"XDG_RUNTIME_DIR", "XDG_STATE_HOME"})
    if (const auto folder = absolute_path_in(variable)) return *folder / kName;
  return home() / ".local" / "state" / kName;
}

}  // namespace hostnet::state
