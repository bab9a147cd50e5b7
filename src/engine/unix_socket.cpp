// Walks the path, and connects.
#include "engine/unix_socket.hpp"

#include "core/strings.hpp"
#include "core/unix_address.hpp"
#include "engine/transport_error.hpp"
#include "hostnet/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include <array>
#include <cerrno>
#include <climits>
#include <deque>
#include <utility>
#include <vector>

namespace hostnet::engine {
namespace {

constexpr int kMostLinks = 40;  // the kernel's limit (MAXSYMLINKS)

bool is_on_procfs(int fd) {
  struct statfs about {};
  return ::fstatfs(fd, &about) != 0 || about.f_type == PROC_SUPER_MAGIC;
}

// The state of a walk: the open folders from the root on, which ".." goes back along, and the path left.
class PathWalk {
 public:
  explicit PathWalk(uid_t own) : own_(own) {}

  std::string to(const std::string& path, const struct stat& there) {
    if (auto fault = begin(path); !fault.empty()) return fault;
    while (!left_.empty()) {
      const auto name = std::exchange(left_.front(), {});
      left_.pop_front();
      if (name.empty() || name == ".") continue;
      if (name == "..") {
        if (folders_.size() > 1) folders_.pop_back();
        continue;
      }
      struct stat status {};
      const auto here = (folders_.back().path == "/" ? "" : folders_.back().path) + "/" + name;
      Fd fd(::openat(folders_.back().fd.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
      if (!fd || ::fstat(fd.get(), &status) != 0) return changed(here);
      if (S_ISLNK(status.st_mode)) {
        if (auto fault = follow(fd, here, status); !fault.empty()) return fault;
      } else if (S_ISDIR(status.st_mode)) {
        if (auto fault = fault_of(OnTheWay::folder, here, status, own_); !fault.empty()) return fault;
        folders_.push_back({std::move(fd), here});
      } else {
        if (!left_.empty() || status.st_dev != there.st_dev || status.st_ino != there.st_ino)
          return changed(here);
        return fault_of(OnTheWay::socket, here, status, own_);
      }
    }
    return changed(path);
  }

 private:
  struct Folder {
    Fd fd;
    std::string path;
  };

  static std::string changed(const std::string& path) {
    return fmt::format("its path cannot be verified at {}", quote(path));
  }

  // Starts again at the root, with `path` ahead.
  std::string begin(const std::string& path) {
    struct stat status {};
    Fd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root || ::fstat(root.get(), &status) != 0) return changed("/");
    folders_.clear();
    folders_.push_back({std::move(root), "/"});
    const auto parts = split(path, '/');
    left_.insert(left_.begin(), parts.begin(), parts.end());
    return fault_of(OnTheWay::folder, "/", status, own_);
  }

  std::string follow(const Fd& link, const std::string& path, const struct stat& status) {
    if (auto fault = fault_of(OnTheWay::link, path, status, own_); !fault.empty()) return fault;
    std::array<char, PATH_MAX> target;
    const auto size = ::readlinkat(link.get(), "", target.data(), target.size());
    if (++links_ > kMostLinks || size <= 0 || static_cast<std::size_t>(size) == target.size() ||
        is_on_procfs(link.get()))
      return changed(path);
    const std::string text(target.data(), static_cast<std::size_t>(size));
    if (text.front() == '/') return begin(text);
    const auto parts = split(text, '/');
    left_.insert(left_.begin(), parts.begin(), parts.end());
    return {};
  }

  uid_t own_;
  int links_ = 0;
  std::vector<Folder> folders_;
  std::deque<std::string> left_;
};

bool is_trusted(uid_t uid, uid_t own) { return uid == 0 || uid == own; }

}  // namespace

std::string fault_of(OnTheWay what, const std::string& path, const struct stat& status, uid_t own) {
  const char* const noun = what == OnTheWay::socket ? "socket" : what == OnTheWay::link ? "link" : "folder";
  if (!is_trusted(status.st_uid, own))
    return fmt::format("its {} {} belongs to uid {}", noun, quote(path), status.st_uid);
  const bool open_to_others = (status.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  if (what == OnTheWay::folder && open_to_others && (status.st_mode & S_ISVTX) == 0)
    return fmt::format("its folder {} may be changed by {}", quote(path),
                       (status.st_mode & S_IWOTH) != 0 ? std::string("every user")
                                                       : fmt::format("the group {}", status.st_gid));
  return {};
}

std::string fault_on_way(const std::string& path, const struct stat& there, uid_t own) {
  return PathWalk(own).to(path, there);
}

UnixTarget open_unix(const Address& address) {
  if (address.socket.size() > kLongestUnixPath)
    throw Error(Errc::invalid_argument, fmt::format("the path {} is too long", quote(address.socket)));
  UnixTarget target{.inode = Fd(::open(address.socket.c_str(), O_PATH | O_CLOEXEC))};
  struct stat there {};
  if (!target.inode || ::fstat(target.inode.get(), &there) != 0) throw connect_error(address, errno);
  target.fault = fault_on_way(address.socket, there, ::geteuid());
  target.path = fmt::format("/proc/self/fd/{}", target.inode.get());
  if (::access(target.path.c_str(), F_OK) != 0) {  // without procfs we cannot check processes either
    if (target.fault.empty()) target.fault = "/proc is not mounted, so its owner is unknown";
    target.path = address.socket;
  }
  return target;
}

ucred peer_of(int fd, std::string& fault) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    throw Error::from_errno("look up the listener of the engine's socket", errno);
  if (peer.uid == static_cast<uid_t>(-1))
    throw Error::from_errno("look up the listener of the engine's socket", ENOTCONN);
  if (fault.empty() && !is_trusted(peer.uid, ::geteuid()))
    fault = fmt::format("a process of uid {} listens there", peer.uid);
  return peer;
}

UnixConnection connect_unix(const Address& address) {
  auto target = open_unix(address);
  const auto where = unix_address(target.path).value();
  UnixConnection made{.fault = std::move(target.fault)};
  // Non-blocking: connect(2) would wait without limit for a listener whose queue is full, as a hung engine's
  // becomes in the end.
  made.fd.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made.fd) throw Error::from_errno("socket", errno);
  if (::connect(made.fd.get(), as_sockaddr(where), sizeof where) != 0)
    throw connect_error(address, errno == EAGAIN ? 0 : errno);
  const auto peer = peer_of(made.fd.get(), made.fault);
  made.uid = peer.uid;
  made.listener = peer.pid;
  return made;
}

}  // namespace hostnet::engine
