// The calling thread's network namespace, and sockets in another one.
#include "core/thread.hpp"
#include "netlink/link.hpp"
#include "netlink/request.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>

#ifndef SO_NETNS_COOKIE  // Linux 5.14
#define SO_NETNS_COOKIE 71
#endif

namespace hostnet::netlink {

Rtnl Rtnl::in_namespace(int netns_fd) {
  // A socket stays in the namespace of the thread that made it. A separate thread enters the namespace, so
  // the caller never has to switch back, which could fail and leave it in the wrong one.
  return Rtnl(run_in_thread("tchn-setns", [netns_fd] {
    if (::setns(netns_fd, CLONE_NEWNET) != 0) throw Error::from_errno("enter a network namespace", errno);
    return open_socket(NETLINK_ROUTE);
  }));
}

std::uint64_t namespace_cookie() {
  const Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket) throw Error::from_errno("open a netlink socket", errno);
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) == 0) return cookie;
  if (errno != ENOPROTOOPT) throw Error::from_errno("read the network namespace's cookie", errno);
  struct stat status {};
  if (::stat("/proc/thread-self/ns/net", &status) != 0) {
    throw Error::from_errno("stat /proc/thread-self/ns/net", errno);
  }
  return status.st_ino;
}

}  // namespace hostnet::netlink
