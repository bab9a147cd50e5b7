// Ways in which a container can use its hosts file to block programs that open it. Uses only the standard
// library and system calls: it is also built as a static program for containers of real engines.
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fuse.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <string>

namespace test {

inline void check(int result, const std::string& what) {
  if (result < 0) throw std::runtime_error(what + ": " + std::strerror(errno));
}

/// Takes a lease on the file and never gives it back (fcntl(2), F_SETLEASE), as long as the process lives.
inline void hold_lease(const std::string& file) {
  ::signal(SIGIO, SIG_IGN);
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  check(fd, "open");
  check(::fcntl(fd, F_SETLEASE, F_RDLCK), "set a lease");
}

/// Holds the lock as long as the process lives.
inline void hold_flock(const std::string& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  check(fd, "open");
  check(::flock(fd, LOCK_EX), "flock");
}

/// Replaces the file with a FIFO.
inline void put_fifo(const std::string& file) {
  ::umount2(file.c_str(), MNT_DETACH);
  ::unlink(file.c_str());
  check(::mkfifo(file.c_str(), 0666), "mkfifo");
}

/// Mounts a file system that never answers over a file or folder. A child of the caller, which dies with it,
/// reads the requests. `asked`, in memory shared with that child, counts the requests that need an answer.
inline void mount_silence(const std::string& over, std::atomic<int>* asked = nullptr) {
  struct stat status {};
  check(::stat(over.c_str(), &status), "stat");
  const int device = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
  check(device, "open /dev/fuse");
  std::array<char, 64> mode{};
  std::snprintf(mode.data(), mode.size(), "%o", S_ISDIR(status.st_mode) ? S_IFDIR | 0755 : S_IFREG | 0644);
  const auto options =
      "fd=" + std::to_string(device) + ",rootmode=" + mode.data() + ",user_id=0,group_id=0,allow_other";
  check(::mount("silence", over.c_str(), "fuse", 0, options.c_str()), "mount");
  const pid_t server = ::fork();
  check(server, "fork");
  if (server > 0) {
    ::close(device);
    return;
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::array<char, 1U << 16> request{};
  for (;;) {
    const auto got = ::read(device, request.data(), request.size());
    if (got < 0 && errno != EINTR && errno != EAGAIN && errno != ENOENT) ::_exit(0);
    if (got < static_cast<ssize_t>(sizeof(fuse_in_header))) continue;
    fuse_in_header in{};
    std::memcpy(&in, request.data(), sizeof in);
    if (in.opcode == FUSE_INIT) {
      struct {
        fuse_out_header head;
        fuse_init_out body;
      } answer{};
      answer.head.len = sizeof answer;
      answer.head.unique = in.unique;
      answer.body.major = FUSE_KERNEL_VERSION;
      answer.body.minor = FUSE_KERNEL_MINOR_VERSION;
      answer.body.max_write = 4096;
      if (::write(device, &answer, sizeof answer) < 0) ::_exit(1);
    } else if (in.opcode != FUSE_INTERRUPT && in.opcode != FUSE_FORGET && asked != nullptr) {
      ++*asked;
    }
  }
}

}  // namespace test
