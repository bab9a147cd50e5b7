// The lock, and clean-up of the files beside the journal.
#include "lease/journal.hpp"

#include "core/file.hpp"
#include "core/log.hpp"
#include "hostnet/error.hpp"
#include "lease/owner.hpp"
#include "lease/private_folder.hpp"
#include "netlink/link.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace hostnet::state {
namespace {

constexpr const char* kLock = "lock";

}  // namespace

std::filesystem::path namespace_dir(const std::filesystem::path& runtime_dir) {
  return runtime_dir / fmt::format("netns-{}", netlink::namespace_cookie());
}

Journal::Journal(JournalFile& file, Deadline deadline) : file_(file) {
  const auto& path = file.folder();
  for (;;) {
    const auto folder = PrivateFolder::make(path.parent_path()).make_folder(path.filename().string());
    if (!folder) continue;  // another process tidied it away, as below
    lock_ = folder->open_or_create(kLock, O_RDWR);
    if (!lock_) continue;
    const auto name = (path / kLock).string();
    if (!lock_file(lock_.get(), deadline))
      throw Error(Errc::timed_out, fmt::format("another tc-hostnet has held {} for too long", name),
                  "see which process: fuser -v " + name);
    struct stat status {};
    if (::fstat(lock_.get(), &status) == 0 && status.st_nlink > 0) return;
    // Another process tidied the file away while this one waited. The next process would lock a new file, so
    // lock again.
  }
}

void Journal::set_aside() const {
  const auto folder = PrivateFolder::find(file_.folder());
  if (!folder) throw Error::from_errno(fmt::format("rename {}", file_.path().string()), ENOENT);
  const auto name = file_.path().filename().string();
  folder->rename(name, name + ".corrupt");
}

void Journal::tidy(const Snapshot& snapshot) const noexcept {
  try {
    const auto folder = PrivateFolder::find(file_.folder());
    if (!folder) return;
    const auto journal = file_.path().filename().string();
    remove_owner_files(*folder, [&](const std::string& token) {
      return std::ranges::any_of(snapshot.leases, [&](const Lease& l) { return l.owner.token == token; });
    });
    folder->remove(journal + std::string(kUnfinished));  // left by a process killed before the rename
    if (!snapshot.is_empty()) return;
    // rmdir() removes only an empty folder: a foreign file or a file in use keeps it.
    if (folder->names() != std::vector<std::string>{kLock} || !folder->remove(kLock)) return;
    folder->remove_itself();
  } catch (const std::exception& error) {
    log::warn("tidying {}: {}", file_.folder().string(), error.what());
  }
}

Snapshot peek(const std::filesystem::path& folder) { return JournalFile(folder).read(); }

bool has_journal_folder(const std::filesystem::path& folder) {
  return PrivateFolder::find(folder).has_value();
}

}  // namespace hostnet::state
