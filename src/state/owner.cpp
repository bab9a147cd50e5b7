// Owner files and their locks.
#include "state/owner.hpp"

#include "core/file.hpp"
#include "core/random.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

namespace hostnet::state {
namespace {

// "pid:[4026531836]": names the pid namespace in which an owner's pid counts.
std::string pid_namespace() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/ns/pid", ignored).string();
}

// One that has ended counts until it is waited for.
int count_threads(pid_t pid) {
  int count = 0;
  std::error_code gone;
  for (std::filesystem::directory_iterator task(fmt::format("/proc/{}/task", pid), gone), end; task != end;
       task.increment(gone))
    ++count;
  return count;
}

// A new file under owners/, locked.
Fd make_locked(const std::filesystem::path& folder, const std::filesystem::path& file, int access,
               mode_t mode) {
  std::error_code error;
  std::filesystem::create_directories(folder / "owners", error);
  if (error) throw Error::from_errno(fmt::format("create {}", (folder / "owners").string()), error.value());
  Fd fd(::open(file.c_str(), access | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!fd) throw Error::from_errno(fmt::format("create {}", file.string()), errno);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
    throw Error::from_errno(fmt::format("lock {}", file.string()), errno);
  return fd;
}

}  // namespace

std::filesystem::path owner_file(const std::filesystem::path& folder, const std::string& token) {
  return folder / "owners" / token;
}

Owner::Owner(const std::filesystem::path& folder) {
  id_ = {.token = random_hex(16),
         .pid = ::getpid(),
         .start = process_start_time(::getpid()).value_or(0),
         .uid = ::getuid(),
         .command = std::string(trim(try_read_file("/proc/self/comm").value_or("")))};
  file_ = owner_file(folder, id_.token);
  lock_ = make_locked(folder, file_, O_RDWR, 0600);
  write_all(lock_.get(), pid_namespace());
}

Owner::~Owner() {
  if (lock_) ::unlink(file_.c_str());
}

Keepalive make_keepalive(const std::filesystem::path& folder) {
  auto token = random_hex(16);
  auto fd = make_locked(folder, owner_file(folder, token), O_RDONLY, 0400);
  return {std::move(token), std::move(fd)};
}

bool is_alive(const std::filesystem::path& folder, const OwnerId& owner) {
  if (owner.lifetime == Lifetime::persistent) return true;
  const Fd fd(::open(owner_file(folder, owner.token).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return errno != ENOENT;
  const auto is_held = [&] { return ::flock(fd.get(), LOCK_SH | LOCK_NB) != 0; };
  if (!is_held()) return false;
  if (errno != EWOULDBLOCK) return true;
  if (owner.lifetime != Lifetime::process) return true;  // whoever holds the lock, in whatever process
  if (read_all(fd.get(), 256) != pid_namespace()) return true;
  const auto process = process_stat(owner.pid);
  if (!process || process->start != owner.start) return false;
  if (process->state != 'Z') return true;
  // Its main thread has ended. The others are about to, and the lock goes with the last of them; or they go
  // on.
  for (int look = 0; look < 100; ++look) {
    if (!is_held() || count_threads(owner.pid) <= 1) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  return true;
}

}  // namespace hostnet::state
