// Watches the folder: the record itself is another file after each save.
#include "lease/record_watch.hpp"

#include "core/log.hpp"
#include "lease/private_folder.hpp"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <string_view>

namespace hostnet::state {

namespace {

// A user has 128 of inotify's instances, for all programs.
constexpr int kMostWatches = 16;
std::atomic<int> watches = 0;  // of this process

}  // namespace

RecordWatch::RecordWatch(const TunnelStore& store, const std::string& id) noexcept {
  if (++watches > kMostWatches) return;
  try {
    file_ = TunnelStore::file_of(id);
    const auto folder = PrivateFolder::find(store.folder());
    if (!folder) return;
    Fd inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (inotify && ::inotify_add_watch(inotify.get(), folder->by_descriptor().c_str(),
                                       IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR) >= 0)
      inotify_ = std::move(inotify);
  } catch (const std::exception& error) {
    log::debug("the record of lease {} is not watched: {}", id, error.what());
  }
}

RecordWatch::~RecordWatch() { --watches; }

bool RecordWatch::read() noexcept {
  alignas(inotify_event) std::array<char, 4096> buffer;
  bool is_gone = false;
  for (ssize_t got = 0; (got = ::read(inotify_.get(), buffer.data(), buffer.size())) > 0;) {
    for (const char* at = buffer.data(); at < buffer.data() + got;) {
      const auto* const event = reinterpret_cast<const inotify_event*>(at);
      is_gone = is_gone || (event->mask & (IN_Q_OVERFLOW | IN_IGNORED)) != 0 ||
                (event->len > 0 && std::string_view(event->name) == file_);
      at += sizeof(inotify_event) + event->len;
    }
  }
  return is_gone;
}

}  // namespace hostnet::state
