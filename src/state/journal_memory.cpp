// Comparing a journal with the last one.
#include "state/journal_memory.hpp"

#include "core/file.hpp"
#include "hostnet/error.hpp"
#include "state/journal.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <unordered_map>

namespace hostnet::state {
namespace {

constexpr std::size_t kLargest = 256U << 20;  // bytes

bool is_same(const Fd& seen, const std::filesystem::path& file) {
  struct stat before {};
  struct stat now {};
  return seen && ::fstat(seen.get(), &before) == 0 && ::stat(file.c_str(), &now) == 0 &&
         before.st_dev == now.st_dev && before.st_ino == now.st_ino;
}

}  // namespace

const Holdings& JournalMemory::load(const std::filesystem::path& file, std::string_view boot_id) {
  if (is_same(seen_, file)) return holdings_;
  seen_.reset();
  holdings_ = {};
  texts_.clear();
  Fd fd(::open(file.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) {
    if (errno == ENOENT) return holdings_;
    throw Error::from_errno(fmt::format("open {}", file.string()), errno);
  }
  try {
    holdings_ = from_json(read_all(fd.get(), kLargest), boot_id);
  } catch (const Error& error) {
    throw error.in_context(file.string());
  }
  seen_ = std::move(fd);
  return holdings_;
}

std::string JournalMemory::text_of(const Holdings& holdings, std::string_view boot_id) {
  std::unordered_map<std::string_view, std::size_t> known;
  for (std::size_t i = 0; i < texts_.size(); ++i) known.emplace(holdings_.leases[i].id, i);
  std::vector<std::string> texts;
  texts.reserve(holdings.leases.size());
  for (const auto& lease : holdings.leases) {
    const auto found = known.find(lease.id);
    const bool as_it_was = found != known.end() && holdings_.leases[found->second] == lease;
    texts.push_back(as_it_was ? texts_[found->second] : to_json(lease));
  }
  auto text = to_json(holdings, texts, boot_id);
  holdings_ = holdings;
  texts_ = std::move(texts);
  seen_.reset();  // until it has been written
  return text;
}

void JournalMemory::saved(const std::filesystem::path& file, const Holdings& holdings) {
  seen_.reset(holdings.leases.empty() ? -1 : ::open(file.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!holdings.leases.empty()) return;
  holdings_ = {};
  texts_.clear();
}

}  // namespace hostnet::state
