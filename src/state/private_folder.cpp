// Making and checking folders.
#include "state/private_folder.hpp"

#include "hostnet/error.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace hostnet::state {

bool make_private_folder(const std::filesystem::path& folder) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    throw Error::from_errno(fmt::format("create {}", folder.string()), errno);
  struct stat status {};
  if (::lstat(folder.c_str(), &status) != 0) {
    if (errno == ENOENT) return false;
    throw Error::from_errno(folder.string(), errno);
  }
  if (!S_ISDIR(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & 022) != 0)
    throw Error(Errc::not_authorised,
                fmt::format("{} is not a folder that only this user may write", folder.string()),
                "remove it, or set TC_HOSTNET_RUNTIME_DIR to another place");
  return true;
}

}  // namespace hostnet::state
