// The xtables lock.
#include "firewall/xtables_lock.hpp"

#include "core/file.hpp"
#include "hostnet/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>

namespace hostnet::firewall {

XtablesLock::XtablesLock(Deadline deadline) {
  const char* const configured = std::getenv("XTABLES_LOCKFILE");
  const char* const path = configured != nullptr && *configured != '\0' ? configured : "/run/xtables.lock";
  fd_.reset(::open(path, O_CREAT | O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd_) throw Error::from_errno(fmt::format("open {}", path), errno);
  if (!lock_file(fd_.get(), deadline))
    throw Error(Errc::timed_out, fmt::format("another program has held {} for too long", path),
                "see who: fuser -v " + std::string(path));
}

}  // namespace hostnet::firewall
