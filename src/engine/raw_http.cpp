// Connects, moves bytes, and reads the status line.
#include "engine/raw_http.hpp"

#include "core/strings.hpp"
#include "engine/cutoff.hpp"
#include "engine/reach.hpp"
#include "engine/ssh_link.hpp"
#include "engine/transport_error.hpp"
#include "engine/unix_socket.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

namespace hostnet::engine {
namespace {

EasyHandle connect_by_curl(const Address& address, Deadline deadline) {
  deadline = before_cutoff(deadline);
  const auto& curl = Curl::get();
  EasyHandle handle{curl.curl_easy_init()};
  if (!handle) throw Error(Errc::engine_unavailable, "libcurl gives no handle");
  std::array<char, CURL_ERROR_SIZE> detail{};
  reach(curl, handle.get(), address, "/");
  curl.curl_easy_setopt(handle.get(), CURLOPT_CONNECT_ONLY, 1L);
  curl.curl_easy_setopt(handle.get(), CURLOPT_NOSIGNAL, 1L);
  curl.curl_easy_setopt(handle.get(), CURLOPT_ERRORBUFFER, detail.data());
  const auto limit = std::max(1L, static_cast<long>(deadline.remaining().count()));
  curl.curl_easy_setopt(handle.get(), CURLOPT_TIMEOUT_MS, deadline.is_never() ? 0L : limit);
  const CURLcode code = curl.curl_easy_perform(handle.get());
  long system_error = 0;
  curl.curl_easy_getinfo(handle.get(), CURLINFO_OS_ERRNO, &system_error);
  curl.curl_easy_setopt(handle.get(), CURLOPT_ERRORBUFFER, nullptr);
  if (code != CURLE_OK)
    throw transfer_error(address, fmt::format("connecting to {}", address.socket), code, detail.data(),
                         static_cast<int>(system_error));
  return handle;
}

// Translates libcurl's result into a return value and errno.
ssize_t result_of(CURLcode code, std::size_t bytes) noexcept {
  if (code == CURLE_OK) return static_cast<ssize_t>(bytes);
  errno = code == CURLE_AGAIN ? EAGAIN : ECONNRESET;
  return -1;
}

}  // namespace

Wire::Wire(const Address& address, Deadline deadline) {
  if (address.ssh) {
    own_ = connect_unix({.socket = SshLink::to(address)->engine_socket(deadline), .from = address.from}).fd;
    fd_ = own_.get();
    return;
  }
  if (!address.tcp) {
    own_ = connect_unix(address).fd;
    fd_ = own_.get();
    return;
  }
  tls_ = address.tcp->tls.has_value();
  handle_ = connect_by_curl(address, deadline);
  curl_socket_t socket = CURL_SOCKET_BAD;
  Curl::get().curl_easy_getinfo(handle_.get(), CURLINFO_ACTIVESOCKET, &socket);
  if (socket == CURL_SOCKET_BAD) throw connect_error(address, ECONNRESET);
  fd_ = socket;
}

ssize_t Wire::send(std::string_view bytes) noexcept {
  if (own_) return ::send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  std::size_t sent = 0;
  const CURLcode code = Curl::get().curl_easy_send(handle_.get(), bytes.data(), bytes.size(), &sent);
  return result_of(code, sent);
}

ssize_t Wire::receive(char* buffer, std::size_t size) noexcept {
  if (own_) return ::recv(fd_, buffer, size, MSG_DONTWAIT);
  std::size_t got = 0;
  const CURLcode code = Curl::get().curl_easy_recv(handle_.get(), buffer, size, &got);
  return result_of(code, got);
}

void Wire::end_output() noexcept { ::shutdown(fd_, SHUT_WR); }

std::size_t end_of_head(std::string_view head, std::size_t seen) {
  constexpr std::string_view blank_line = "\r\n\r\n";
  return head.find(blank_line, seen - std::min(seen, blank_line.size() - 1));
}

long status_of(std::string_view head) {
  const auto words = split(head.substr(0, head.find("\r\n")), ' ');
  if (words.size() < 2 || !words[0].starts_with("HTTP/1.")) return 0;
  return static_cast<long>(parse_number(words[1], 999).value_or(0));
}

}  // namespace hostnet::engine
