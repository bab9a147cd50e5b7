// The xtables lock.
#include "firewall/xtables_lock.hpp"

#include "core/file.hpp"
#include "hostnet/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>

namespace hostnet::firewall {

namespace {

const char* lock_path() {
  const char* const configured = std::getenv("XTABLES_LOCKFILE");
  return configured != nullptr && *configured != '\0' ? configured : "/run/xtables.lock";
}

Fd open_lock() {
  Fd fd(::open(lock_path(), O_CREAT | O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) throw Error::from_errno(fmt::format("open {}", lock_path()), errno);
  return fd;
}

}  // namespace

XtablesLock::XtablesLock(Deadline deadline) : fd_(open_lock()) {
  if (!lock_file(fd_.get(), deadline))
    throw Error(Errc::timed_out, fmt::format("another program has held {} for too long", lock_path()),
                "see who: fuser -v " + std::string(lock_path()));
}

std::optional<XtablesLock> XtablesLock::if_free() {
  auto fd = open_lock();
  if (!lock_file(fd.get(), Deadline::after(std::chrono::milliseconds{0}))) return std::nullopt;
  return XtablesLock(std::move(fd));
}

}  // namespace hostnet::firewall
