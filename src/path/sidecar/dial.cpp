// Connects to an sshd until it answers.
#include "path/sidecar/dial.hpp"

#include "hostnet/error.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <thread>
#include <utility>

namespace hostnet::ssh {
namespace {

using std::chrono::milliseconds;

// Pause between two attempts: sshd needs some 20 ms from its start to its first banner.
constexpr milliseconds kPause{5};
// Period of the calls of `still_there`.
constexpr milliseconds kCheckPeriod{250};
constexpr milliseconds kUsualLook{2'000};  // an engine that takes longer is itself the failure

// Returns false at the deadline. Calls `still_there` once per kCheckPeriod.
bool wait_for(int fd, short events, Deadline deadline, const std::function<void()>& still_there) {
  pollfd wait{.fd = fd, .events = events, .revents = 0};
  for (;;) {
    const auto span = std::min(kCheckPeriod, deadline.remaining());
    const int ready = ::poll(&wait, 1, static_cast<int>(span.count()));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) throw Error::from_errno("poll", errno);
    if (deadline.expired()) return false;
    still_there();
  }
}

int connect_to(int fd, const IpEndpoint& endpoint) {
  if (const auto ipv4 = endpoint.address.ipv4()) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(endpoint.port);
    address.sin_addr.s_addr = ipv4->network();
    return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(endpoint.port);
  std::memcpy(&address.sin6_addr, endpoint.address.bytes.data(), sizeof address.sin6_addr);
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

// A connection, or none, and then the reason.
Fd connect_once(const IpEndpoint& endpoint, Deadline deadline, const std::function<void()>& still_there,
                std::string& reason) {
  const int family = endpoint.address.ipv4() ? AF_INET : AF_INET6;
  Fd socket(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) throw Error::from_errno("socket", errno);
  if (connect_to(socket.get(), endpoint) != 0) {
    int error = errno;
    if (error == EINPROGRESS) {
      if (!wait_for(socket.get(), POLLOUT, deadline, still_there)) return {};
      socklen_t length = sizeof error;
      ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    }
    if (error != 0) {
      reason = std::strerror(error);
      return {};
    }
  }
  return socket;
}

// The same connection if a banner waits on it, or none, and then the reason.
Fd with_banner(Fd socket, Deadline deadline, const std::function<void()>& still_there, std::string& reason) {
  // The engine's proxy, and ssh, accept connections before sshd listens, and then hang up.
  const auto began = Deadline::Clock::now();
  if (!wait_for(socket.get(), POLLIN, deadline, still_there)) {
    // An attempt that began just before the deadline has no new reason.
    if (Deadline::Clock::now() - began >= kCheckPeriod)
      reason = "it accepts the connection and sends no banner";
    return {};
  }
  std::array<char, 4> start{};
  const auto got = ::recv(socket.get(), start.data(), start.size(), MSG_PEEK | MSG_WAITALL);
  if (got == static_cast<ssize_t>(start.size()) && std::memcmp(start.data(), "SSH-", start.size()) == 0)
    return socket;
  reason = got <= 0 ? "it hangs up before its banner" : "it sends no SSH banner";
  return {};
}

// `once` is one attempt: a connection with a banner, or none, and then the reason.
template <class Once>
Fd dial_until(const std::string& where, Deadline deadline, const std::function<void()>& still_there,
              Once once) {
  std::string reason = "it does not answer";
  // Ignores a check that the deadline cut off: sshd was late, not the engine.
  const auto look = [&] {
    const auto began = Deadline::Clock::now();
    try {
      still_there();
    } catch (const Error& error) {
      const bool cut_off = deadline.expired() && Deadline::Clock::now() - began < kUsualLook;
      if (error.code() != Errc::timed_out || !cut_off) throw;
    }
  };
  auto next_check = Deadline::after(kCheckPeriod);
  for (;;) {
    if (auto socket = once(look, reason)) return socket;
    if (deadline.expired())
      throw Error(Errc::timed_out,
                  fmt::format("ssh banner: the sidecar's sshd at {} does not serve: {}", where, reason));
    if (next_check.expired()) {
      look();
      next_check = Deadline::after(kCheckPeriod);
    }
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace

Fd dial_sshd(IpEndpoint endpoint, Deadline deadline, const std::function<void()>& still_there) {
  return dial_until(endpoint.to_string(), deadline, still_there,
                    [&](const std::function<void()>& look, std::string& reason) {
                      auto socket = connect_once(endpoint, deadline, look, reason);
                      return socket ? with_banner(std::move(socket), deadline, look, reason) : Fd();
                    });
}

Fd dial_sshd(const std::string& where, const Connect& connect, Deadline deadline,
             const std::function<void()>& still_there) {
  return dial_until(where, deadline, still_there,
                    [&](const std::function<void()>& look, std::string& reason) {
                      try {
                        return with_banner(connect(deadline), deadline, look, reason);
                      } catch (const Error& error) {
                        if (error.code() != Errc::failure) throw;
                        reason = error.what();
                        return Fd();
                      }
                    });
}

}  // namespace hostnet::ssh
