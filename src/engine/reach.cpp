// Sets libcurl's options for an address.
#include "engine/reach.hpp"

#include "hostnet/error.hpp"

#include <fmt/format.h>

namespace hostnet::engine {
namespace {

// Time limit for name lookup, connection and TLS. Otherwise a machine that is down, or a firewall that drops
// packets, would take the call's whole deadline.
constexpr long kConnectSeconds = 10;

}  // namespace

void reach(const Curl& curl, CURL* handle, const Address& address, std::string_view path) {
  const auto set = [&](CURLoption option, auto value) {
    const CURLcode code = curl.curl_easy_setopt(handle, option, value);
    if (code == CURLE_OK) return;
    throw Error(
        Errc::engine_unavailable,
        fmt::format("this libcurl cannot reach {}: {}", address.socket, curl.curl_easy_strerror(code)),
        "install a libcurl built with Unix sockets and TLS: apt-get install libcurl4");
  };
  // $http_proxy is not meant for engines; docker ignores it for tcp:// too.
  set(CURLOPT_PROXY, "");
  if (!address.tcp) {
    set(CURLOPT_UNIX_SOCKET_PATH, address.socket.c_str());
    set(CURLOPT_URL, fmt::format("http://engine{}", path).c_str());
    return;
  }
  set(CURLOPT_URL, fmt::format("{}{}", address.tcp->url(), path).c_str());
  set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  // Detects a dead machine behind a connection that is quiet for long, such as an event stream.
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  if (!address.tcp->tls) return;
  const auto& tls = *address.tcp->tls;
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(CURLOPT_SSL_VERIFYPEER, tls.verify ? 1L : 0L);
  set(CURLOPT_SSL_VERIFYHOST, tls.verify ? 2L : 0L);
  if (!tls.ca.empty()) {
    set(CURLOPT_CAINFO, tls.ca.c_str());
    // Without this, the system's CAs could also sign for the engine.
    set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
  }
  if (!tls.cert.empty()) {
    set(CURLOPT_SSLCERT, tls.cert.c_str());
    set(CURLOPT_SSLKEY, tls.key.c_str());
  }
}

}  // namespace hostnet::engine
