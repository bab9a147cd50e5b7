// Owner files and their locks.
#include "lease/owner.hpp"

#include "core/file.hpp"
#include "core/log.hpp"
#include "core/random.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

namespace hostnet::state {
namespace {

constexpr const char* kOwners = "owners";

// "pid:[4026531836]": names the pid namespace in which an owner's pid counts.
std::string pid_namespace() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/ns/pid", ignored).string();
}

// Threads of a process. A main thread that has ended counts until the process is reaped.
int count_threads(pid_t pid) {
  int count = 0;
  std::error_code gone;
  for (std::filesystem::directory_iterator task(fmt::format("/proc/{}/task", pid), gone), end; task != end;
       task.increment(gone))
    ++count;
  return count;
}

// Makes and locks a file under owners/; returns its token. Another process may tidy the file away before the
// lock is taken; then this function makes a new one.
std::pair<std::string, Fd> make_locked(const std::filesystem::path& folder, int access, mode_t mode) {
  for (;;) {
    auto token = random_hex(16);
    Fd fd = make_owners_folder(folder).create(token, access, mode);
    if (!fd) continue;  // another process tidied the folder away
    struct stat status {};
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
      if (::fstat(fd.get(), &status) == 0 && status.st_nlink > 0) return {std::move(token), std::move(fd)};
    } else if (errno != EWOULDBLOCK) {
      throw Error::from_errno(fmt::format("lock {}", (folder / kOwners / token).string()), errno);
    }
  }
}

}  // namespace

PrivateFolder make_owners_folder(const std::filesystem::path& folder) {
  for (;;)
    if (auto owners = PrivateFolder::make(folder).make_folder(kOwners)) return std::move(*owners);
}

void remove_owner_file(const std::filesystem::path& folder, const std::string& token) noexcept {
  try {
    const auto found = PrivateFolder::find(folder);
    const auto owners = found ? found->find_folder(kOwners) : std::nullopt;
    if (owners) owners->remove(token);
  } catch (const std::exception& error) {
    log::debug("removing the file of owner {}: {}", token, error.what());
  }
}

void remove_owner_files(const PrivateFolder& folder,
                        const std::function<bool(const std::string&)>& is_named) {
  const auto owners = folder.find_folder(kOwners);
  if (!owners) return;
  for (const auto& token : owners->names()) {
    if (!is_token(token) || !owners->has(token) || is_named(token)) continue;
    const Fd file = owners->open(token, O_RDONLY);
    if (file && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0) owners->remove(token);
  }
  owners->remove_itself();
}

Owner::Owner(const std::filesystem::path& folder) : folder_(folder) {
  auto [token, lock] = make_locked(folder, O_RDWR, 0600);
  id_ = {.token = std::move(token),
         .pid = ::getpid(),
         .start = process_start_time(::getpid()).value_or(0),
         .uid = ::getuid(),
         .command = trim(try_read_file("/proc/self/comm").value_or(""))};
  lock_ = std::move(lock);
  write_all(lock_.get(), pid_namespace());
}

Owner::~Owner() {
  if (lock_) remove_owner_file(folder_, id_.token);
}

Keepalive make_keepalive(const std::filesystem::path& folder) {
  auto [token, lock] = make_locked(folder, O_RDONLY, 0400);
  return {std::move(token), std::move(lock)};
}

bool is_alive(const std::filesystem::path& folder, const OwnerId& owner) {
  if (owner.lifetime == Lifetime::persistent) return true;
  const auto found = PrivateFolder::find(folder);
  const auto owners = found ? found->find_folder(kOwners) : std::nullopt;
  if (!owners || !owners->has(owner.token)) return false;
  Fd fd;
  try {
    fd = owners->open(owner.token, O_RDONLY);
  } catch (const Error& error) {
    log::debug("owner {} counts as alive: {}", owner.token, error.what());
    return true;
  }
  if (!fd) return false;
  const auto is_held = [&] { return ::flock(fd.get(), LOCK_SH | LOCK_NB) != 0; };
  if (!is_held()) return false;
  if (errno != EWOULDBLOCK) return true;
  if (owner.lifetime != Lifetime::process) return true;  // the holder may be any process
  if (read_all(fd.get(), 256) != pid_namespace()) return true;
  const auto process = process_stat(owner.pid);
  if (!process || process->start != owner.start) return false;
  if (process->state != 'Z') return true;
  // The main thread is a zombie. Either the other threads end soon and release the lock, or they go on
  // running: wait 100 ms for the former.
  for (int look = 0; look < 100; ++look) {
    if (!is_held() || count_threads(owner.pid) <= 1) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  return true;
}

}  // namespace hostnet::state
