// Opening libcurl at run time.
#include "engine/curl.hpp"

#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <new>
#include <utility>

namespace hostnet::engine {

Curl Curl::load(std::vector<const char*> sonames) {
  const Library library({.sonames = std::move(sonames),
                         .name = "libcurl",
                         .purpose = ", which speaks to the container engine,",
                         .code = Errc::engine_unavailable,
                         .hint = "install libcurl: on Debian and Ubuntu, apt-get install libcurl4"});
  Curl functions{};
  HOSTNET_CURL_FUNCTIONS(HOSTNET_LIBRARY_FIND)
  if (const CURLcode code = functions.curl_global_init(CURL_GLOBAL_DEFAULT); code != CURLE_OK)
    throw Error(Errc::engine_unavailable,
                fmt::format("libcurl does not start: {}", functions.curl_easy_strerror(code)));
  return functions;
}

const Curl& Curl::get() {
  // The second is Debian's build with GnuTLS, which git and others bring along. What differs is the wording
  // of TLS errors (transport_error.cpp).
  static const Curl table = load({"libcurl.so.4", "libcurl-gnutls.so.4"});
  return table;
}

List make_list(std::initializer_list<const char*> texts) {
  List list;
  for (const char* text : texts) {
    curl_slist* const longer = Curl::get().curl_slist_append(list.get(), text);
    if (longer == nullptr) throw std::bad_alloc();
    static_cast<void>(list.release());  // The same list, or the first element of an empty one.
    list.reset(longer);
  }
  return list;
}

}  // namespace hostnet::engine
