// The lock, and what is left beside the file.
#include "state/journal.hpp"

#include "core/file.hpp"
#include "hostnet/error.hpp"
#include "netlink/link.hpp"
#include "state/private_folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

namespace hostnet::state {

std::filesystem::path runtime_dir(const std::string& configured) {
  if (!configured.empty()) return configured;
  const char* const environment = std::getenv("TC_HOSTNET_RUNTIME_DIR");
  return environment != nullptr && *environment != '\0' ? environment : "/run/tc-hostnet";
}

std::filesystem::path namespace_dir(const std::filesystem::path& runtime_dir) {
  return runtime_dir / fmt::format("netns-{}", netlink::namespace_cookie());
}

Journal::Journal(JournalFile& file, Deadline deadline) : file_(file) {
  const auto& folder = file.folder();
  const auto path = folder / "lock";
  for (;;) {
    if (!make_private_folder(folder.parent_path()) || !make_private_folder(folder)) continue;
    lock_.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!lock_) {
      if (errno == ENOENT) continue;  // tidied away by another process in this moment
      throw Error::from_errno(fmt::format("open {}", path.string()), errno);
    }
    if (!lock_file(lock_.get(), deadline))
      throw Error(Errc::timed_out, fmt::format("another tc-hostnet has held {} for too long", path.string()),
                  "see who: fuser -v " + path.string());
    struct stat status {};
    if (::fstat(lock_.get(), &status) == 0 && status.st_nlink > 0) return;
    // The file was tidied away while we waited for it; whoever comes next would lock another one.
  }
}

void Journal::set_aside() const {
  const auto& path = file_.path();
  if (::rename(path.c_str(), (path.string() + ".corrupt").c_str()) != 0)
    throw Error::from_errno(fmt::format("rename {}", path.string()), errno);
}

void Journal::tidy(const Holdings& holdings) const noexcept {
  std::error_code ignored;
  const auto& folder = file_.folder();
  const auto owners = folder / "owners";
  for (std::filesystem::directory_iterator entry(owners, ignored), end; entry != end;
       entry.increment(ignored)) {
    const auto token = entry->path().filename().string();
    const bool named =
        std::ranges::any_of(holdings.leases, [&](const Lease& l) { return l.owner.token == token; });
    const Fd file(::open(entry->path().c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!named && file && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0) ::unlink(entry->path().c_str());
  }
  ::unlink((file_.path().string() + ".new").c_str());  // of somebody killed before the rename
  if (!holdings.leases.empty()) return;
  // Whatever is not ours or still in use keeps the folder: rmdir() takes only an empty one.
  if (::rmdir(owners.c_str()) != 0 && errno != ENOENT) return;
  if (std::filesystem::exists(file_.path(), ignored) ||
      std::distance(std::filesystem::directory_iterator(folder, ignored), {}) > 1)
    return;
  ::unlink((folder / "lock").c_str());
  ::rmdir(folder.c_str());
}

Holdings peek(const std::filesystem::path& folder) { return JournalFile(folder).read(); }

}  // namespace hostnet::state
