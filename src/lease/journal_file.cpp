// Reads the lines added since the last read; appends a change or replaces the file.
#include "lease/journal_file.hpp"

#include "core/file.hpp"
#include "core/log.hpp"
#include "hostnet/error.hpp"
#include "lease/journal.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

namespace hostnet::state {
namespace {

constexpr const char* kFile = "journal.jsonl";
constexpr std::size_t kLargest = 256U << 20;  // bytes
constexpr std::size_t kRoom = 64U << 10;      // bytes of changes that never force a new file

// The size of the file if it is the same inode as at the last read.
std::optional<std::size_t> size_if_same(const Fd& seen, const PrivateFolder& folder) {
  struct stat before {};
  struct stat now {};
  if (!seen || ::fstat(seen.get(), &before) != 0 ||
      ::fstatat(folder.fd(), kFile, &now, AT_SYMLINK_NOFOLLOW) != 0 || before.st_dev != now.st_dev ||
      before.st_ino != now.st_ino)
    return std::nullopt;
  return static_cast<std::size_t>(now.st_size);
}

// Without one, the journal of an earlier boot would count as this one's.
std::string this_boot() {
  if (auto id = boot_id()) return *std::move(id);
  throw Error::from_errno("open /proc/sys/kernel/random/boot_id", ENOENT);
}

std::size_t size_of_whole_lines(std::string_view text) { return text.rfind('\n') + 1; }

}  // namespace

JournalFile::JournalFile(std::filesystem::path folder)
    : folder_(std::move(folder)), path_(folder_ / kFile), boot_id_(this_boot()) {}

void JournalFile::forget() {
  seen_.reset();
  snapshot_ = {};
  first_ = size_ = 0;
}

const Snapshot& JournalFile::read() {
  const auto folder = PrivateFolder::find(folder_);
  if (folder)
    if (const auto size = size_if_same(seen_, *folder); size && read_added(*size)) return snapshot_;
  if (seen_) ++news_;
  forget();
  Fd fd = folder ? folder->open(kFile, O_RDONLY) : Fd();
  if (!fd) return snapshot_;
  ++news_;
  try {
    const auto text = read_all(fd.get(), kLargest);
    snapshot_ = from_json(text, boot_id_);
    first_ = text.find('\n') + 1;
    size_ = size_of_whole_lines(text);
  } catch (const Error& error) {
    throw error.in_context(path_.string());
  }
  seen_ = std::move(fd);
  return snapshot_;
}

// Reads the lines that others have added. True if the snapshot is now current.
bool JournalFile::read_added(std::size_t size) {
  if (size <= size_) return size == size_;
  std::string added(std::min(size - size_, kLargest), '\0');
  const auto got = ::pread(seen_.get(), added.data(), added.size(), static_cast<off_t>(size_));
  if (got < 0) return false;
  added.resize(size_of_whole_lines(std::string_view(added).substr(0, static_cast<std::size_t>(got))));
  if (added.empty()) return true;
  ++news_;
  try {
    apply_changes(snapshot_, added);
  } catch (const Error& error) {
    forget();
    throw error.in_context(path_.string());
  }
  size_ += added.size();
  return true;
}

PrivateFolder JournalFile::open_folder() const {
  if (auto folder = PrivateFolder::find(folder_)) return std::move(*folder);
  throw Error::from_errno(fmt::format("open {}", folder_.string()), ENOENT);
}

void JournalFile::write(const Snapshot& snapshot) {
  if (snapshot.is_empty()) {
    const auto folder = PrivateFolder::find(folder_);
    if (folder && folder->open(kFile, O_RDONLY) && !folder->remove(kFile))
      throw Error(Errc::failure, fmt::format("{} cannot be removed", path_.string()));
    forget();
    return;
  }
  const auto folder = open_folder();
  if (!append(folder, snapshot)) replace(folder, snapshot);
}

bool JournalFile::append(const PrivateFolder& folder, const Snapshot& snapshot) {
  if (snapshot_.is_empty() || snapshot_.firewall != snapshot.firewall || size_if_same(seen_, folder) != size_)
    return false;
  const auto change = to_json_change(snapshot_, snapshot);
  if (change.empty()) return true;
  if (size_ + change.size() > first_ + std::max(first_, kRoom)) return false;
  const Fd out = folder.open(kFile, O_WRONLY | O_APPEND);
  if (!out) return false;
  try {
    write_all(out.get(), change);
  } catch (const Error& error) {
    // The partial line has no newline and does not count, even if the truncation fails.
    if (::ftruncate(out.get(), static_cast<off_t>(size_)) != 0)
      log::debug("cut {} back to {} bytes: errno {}", path_.string(), size_, errno);
    throw error.in_context(path_.string());
  }
  snapshot_ = snapshot;
  size_ += change.size();
  return true;
}

void JournalFile::replace(const PrivateFolder& folder, const Snapshot& snapshot) {
  const auto text = to_json(snapshot, boot_id_);
  folder.replace(kFile, text);
  snapshot_ = snapshot;
  first_ = size_ = text.size();
  seen_ = folder.open(kFile, O_RDONLY);
}

}  // namespace hostnet::state
