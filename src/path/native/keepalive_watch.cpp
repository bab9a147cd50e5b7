// Watches the folder of the locks with inotify.
#include "path/native/keepalive_watch.hpp"

#include "hostnet/error.hpp"
#include "lease/owner.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>

namespace hostnet::exposer {
namespace {

constexpr int kKeepaliveLooks = 3;

// Another process removes a file only if its lock is free; then the test below succeeds too.
bool is_held(const Fd& file) { return ::flock(file.get(), LOCK_SH | LOCK_NB) != 0; }

}  // namespace

KeepaliveWatch::KeepaliveWatch() : inotify_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
  if (!inotify_) throw Error::from_errno("inotify_init1", errno);
}

void KeepaliveWatch::watch(const std::filesystem::path& folder) {
  const auto owners = state::make_owners_folder(folder);
  if (::inotify_add_watch(inotify_.get(), owners.by_descriptor().c_str(), IN_CLOSE | IN_ONLYDIR) < 0)
    throw Error::from_errno(fmt::format("watch {}", owners.path().string()), errno);
  folder_ = folder;
}

void KeepaliveWatch::add(const std::string& lease, const std::string& token) {
  const auto owners = state::make_owners_folder(folder_);
  Fd file = owners.open(token, O_RDONLY);
  if (!file) throw Error::from_errno(fmt::format("open {}", (owners.path() / token).string()), ENOENT);
  by_token_[token] = {lease, std::move(file)};
}

void KeepaliveWatch::remove(const std::string& lease) {
  std::erase_if(by_token_, [&](const auto& entry) { return entry.second.lease == lease; });
}

bool KeepaliveWatch::read() {
  alignas(inotify_event) std::array<char, 16 * (sizeof(inotify_event) + NAME_MAX + 1)> buffer;
  for (;;) {
    const auto size = ::read(inotify_.get(), buffer.data(), buffer.size());
    if (size <= 0) break;
    for (std::size_t at = 0; at < static_cast<std::size_t>(size);) {
      inotify_event event;
      std::memcpy(&event, buffer.data() + at, sizeof event);
      const char* const name = buffer.data() + at + sizeof event;
      at += sizeof event + event.len;
      if ((event.mask & IN_Q_OVERFLOW) != 0) {
        for (const auto& [token, watched] : by_token_) suspects_[token] = kKeepaliveLooks;
      } else if (event.len > 0 && by_token_.contains(name)) {
        suspects_[name] = kKeepaliveLooks;
      }
    }
  }
  return has_suspects();
}

std::set<std::string> KeepaliveWatch::look() {
  std::set<std::string> closed;
  for (auto next = suspects_.begin(); next != suspects_.end();) {
    auto& [token, looks] = *next;
    const auto found = by_token_.find(token);
    const bool gone = found != by_token_.end() && !is_held(found->second.file);
    if (gone) {
      closed.insert(found->second.lease);
      by_token_.erase(found);
    }
    next = gone || found == by_token_.end() || --looks == 0 ? suspects_.erase(next) : std::next(next);
  }
  return closed;
}

}  // namespace hostnet::exposer
