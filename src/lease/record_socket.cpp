// Makes the socket through the folder's descriptor: a Unix socket's address is short, the folder's path may
// not be.
#include "lease/record_socket.hpp"

#include "core/log.hpp"
#include "core/unix_address.hpp"
#include "hostnet/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

namespace hostnet::state {
namespace {

constexpr std::string_view kSocketSuffix = ".sock";
constexpr int kBacklog = 4;

bool is_socket(int folder, const std::string& file, struct stat& status) {
  return ::fstatat(folder, file.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(status.st_mode);
}

sockaddr_un address_in(int folder, const std::string& file) {
  const auto address = unix_address(fmt::format("/proc/self/fd/{}/{}", folder, file));
  if (!address) throw Error::from_errno("use socket " + file, ENAMETOOLONG);
  return *address;
}

// A stream socket cannot be connected with one of packets, so a listener learns nothing of it: the kernel says
// EPROTOTYPE where one lives (unix(7)).
bool is_dead(const PrivateFolder& folder, const std::string& file) {
  const Fd knock(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!knock) throw Error::from_errno("socket", errno);
  const auto address = address_in(folder.fd(), file);
  return ::connect(knock.get(), as_sockaddr(address), sizeof address) != 0 && errno == ECONNREFUSED;
}

}  // namespace

RecordSocket::RecordSocket(const TunnelStore& store, const std::string& name, Deadline deadline)
    : file_(name + std::string(kSocketSuffix)),
      listener_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  if (!listener_) throw Error::from_errno("socket", errno);
  const auto locked =
      store.lock(deadline);  // until the socket is there, which keeps the folder from being removed
  // Another open file, without the lock.
  folder_.reset(::open(locked.by_descriptor().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder_) throw Error::from_errno("open " + locked.path().string(), errno);
  std::error_code error;
  const auto folder = std::filesystem::read_symlink(locked.by_descriptor(), error);
  if (error) throw Error::from_errno("read the path of " + locked.path().string(), error.value());
  path_ = (folder / file_).string();
  const auto address = address_in(folder_.get(), file_);
  if (::bind(listener_.get(), as_sockaddr(address), sizeof address) != 0)
    throw Error::from_errno("bind " + path_, errno);
  // For root of another user namespace, and for root without privileges; the folder keeps other users out.
  if (::fchmodat(folder_.get(), file_.c_str(), 0666, 0) != 0 || ::listen(listener_.get(), kBacklog) != 0) {
    const int cause = errno;
    ::unlinkat(folder_.get(), file_.c_str(), 0);
    throw Error::from_errno("listen at " + path_, cause);
  }
}

RecordSocket::~RecordSocket() { ::unlinkat(folder_.get(), file_.c_str(), 0); }

void remove_socket(const TunnelStore& store, const std::string& name) noexcept {
  try {
    const auto folder = PrivateFolder::find(store.folder());
    const auto file = name + std::string(kSocketSuffix);
    struct stat status {};
    if (folder && is_socket(folder->fd(), file, status)) ::unlinkat(folder->fd(), file.c_str(), 0);
  } catch (const std::exception& error) {
    log::warn("the socket {} stays: {}", name, error.what());
  }
}

void remove_dead_sockets(const PrivateFolder& folder) noexcept {
  try {
    for (const auto& file : folder.names()) {
      struct stat status {};
      if (file.ends_with(kSocketSuffix) && is_socket(folder.fd(), file, status) && is_dead(folder, file))
        ::unlinkat(folder.fd(), file.c_str(), 0);
    }
  } catch (const std::exception& error) {
    log::warn("tidying {}: {}", folder.path().string(), error.what());
  }
}

}  // namespace hostnet::state
