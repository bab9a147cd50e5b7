// Looks in the environment, at the installed path, and beside the library.
#include "core/libexec.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace hostnet {

std::string libexec_program(const std::string& name, const char* variable) {
  if (const char* const chosen = std::getenv(variable); chosen != nullptr && *chosen != '\0') return chosen;
  std::string installed = HOSTNET_LIBEXECDIR "/" + name;
  if (::access(installed.c_str(), X_OK) == 0) return installed;
  // The installed tree may have moved: look for libexec next to the library's lib or lib/TRIPLET.
  Dl_info here{};
  if (::dladdr(reinterpret_cast<const void*>(&libexec_program), &here) == 0) return installed;
  std::error_code error;
  auto folder = std::filesystem::canonical(here.dli_fname, error).parent_path();
  for (int up = 0; up < 2 && !error && folder.has_relative_path(); ++up) {
    folder = folder.parent_path();
    if (auto moved = (folder / "libexec" / name).string(); ::access(moved.c_str(), X_OK) == 0) return moved;
  }
  return installed;
}

}  // namespace hostnet
