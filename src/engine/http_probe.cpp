// One GET by libcurl.
#include "engine/http_probe.hpp"

#include "engine/curl.hpp"
#include "hostnet/error.hpp"

#include <algorithm>

namespace hostnet::engine {
namespace {

std::size_t discard(const char*, std::size_t, std::size_t size, void*) noexcept { return size; }

}  // namespace

long http_status(const std::string& url, Deadline deadline) {
  const auto& curl = Curl::get();
  const EasyHandle handle{curl.curl_easy_init()};
  if (!handle) throw Error(Errc::engine_unavailable, "libcurl gives no handle");
  const auto set = [&](CURLoption option, auto value) { curl.curl_easy_setopt(handle.get(), option, value); };
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_PROXY, "");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_TIMEOUT_MS, std::max(1L, static_cast<long>(deadline.remaining().count())));
  set(CURLOPT_WRITEFUNCTION, &discard);
  if (curl.curl_easy_perform(handle.get()) != CURLE_OK) return 0;
  long status = 0;
  curl.curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
  return status;
}

}  // namespace hostnet::engine
