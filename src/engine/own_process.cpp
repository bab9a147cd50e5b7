// Finds sockets and processes by sock_diag(7) and proc(5).
#include "engine/own_process.hpp"

#include "core/file.hpp"
#include "core/strings.hpp"
#include "engine/cutoff.hpp"
#include "engine/raw_http.hpp"
#include "hostnet/error.hpp"
#include "netlink/sock_diag.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

namespace hostnet::engine {
namespace {

constexpr std::string_view kPing = "GET /_ping HTTP/1.1\r\nHost: engine\r\n\r\n";

// Sends a request and waits for the first bytes of the answer, which prove that the connection is accepted.
bool ping(Wire& wire, Deadline deadline) {
  if (wire.send(kPing) != static_cast<ssize_t>(kPing.size())) return false;
  for (;;) {
    pollfd poll{wire.fd(), POLLIN, 0};
    if (::poll(&poll, 1, before_cutoff(deadline).poll_timeout()) == 0) return false;
    std::array<char, 256> buffer;
    const auto got = wire.receive(buffer.data(), buffer.size());
    if (got >= 0) return got > 0;
    if (errno != EAGAIN && errno != EINTR) return false;
  }
}

bool is_called_as_an_engine(const std::string& process) {
  const auto name = trim(try_read_file(process + "/comm").value_or(""));
  return name == "dockerd" || name == "podman";
}

// Compares the namespaces, or, without permission for that, looks for our own socket in the process's list.
bool is_in_our_netns(const std::string& process, std::uint64_t own_socket) {
  struct stat theirs {};
  struct stat ours {};
  if (::stat((process + "/ns/net").c_str(), &theirs) == 0 && ::stat("/proc/thread-self/ns/net", &ours) == 0)
    return theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
  const auto sockets = try_read_file(process + "/net/unix").value_or("");
  const auto wanted = std::to_string(own_socket);
  return std::ranges::any_of(split(sockets, '\n'), [&](std::string_view line) {
    // "Num RefCount Protocol Flags Type St Inode Path": ours has no path.
    const auto last = line.find_last_of(' ');
    return last != std::string_view::npos && line.substr(last + 1) == wanted;
  });
}

bool has_open(const std::string& process, std::uint32_t socket) {
  const auto wanted = fmt::format("socket:[{}]", socket);
  std::error_code failed;
  for (std::filesystem::directory_iterator fd(process + "/fd", failed), end; fd != end;
       fd.increment(failed)) {
    if (failed) return false;
    if (std::filesystem::read_symlink(*fd, failed) == wanted) return true;
    failed.clear();  // the descriptor was closed meanwhile
  }
  return false;
}

template <class Wanted>
bool any_process(Wanted wanted) {
  std::error_code failed;
  for (std::filesystem::directory_iterator entry("/proc", failed), end; entry != end;
       entry.increment(failed)) {
    if (failed) return false;
    const auto path = entry->path().string();
    if (parse_number(entry->path().filename().string(), INT_MAX) && wanted(path)) return true;
  }
  return false;
}

bool is_roots(const std::string& process) {
  struct stat status {};
  return ::stat(process.c_str(), &status) == 0 && status.st_uid == 0;
}

}  // namespace

bool serves_from_here(const Address& address, Deadline deadline) {
  if (!address.is_unix()) return false;
  Wire wire(address, deadline);
  struct stat own {};
  if (!ping(wire, deadline) || ::fstat(wire.fd(), &own) != 0) return false;

  if (::geteuid() == 0) {
    const auto peer = netlink::unix_peer(static_cast<std::uint32_t>(own.st_ino));
    return peer != 0 && any_process([&](const std::string& process) {
             return is_called_as_an_engine(process) && is_in_our_netns(process, own.st_ino) &&
                    has_open(process, peer);
           });
  }
  ucred listener{};
  socklen_t size = sizeof listener;
  if (::getsockopt(wire.fd(), SOL_SOCKET, SO_PEERCRED, &listener, &size) != 0) return false;
  if (listener.pid > 1) {
    const auto process = fmt::format("/proc/{}", listener.pid);
    return is_called_as_an_engine(process) && is_in_our_netns(process, own.st_ino);
  }
  return listener.pid == 1 && any_process([&](const std::string& process) {
           return is_called_as_an_engine(process) && is_roots(process) &&
                  is_in_our_netns(process, own.st_ino);
         });
}

}  // namespace hostnet::engine
