// Opening libcurl at run time.
#include "engine/curl.hpp"

#include "hostnet/error.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <new>
#include <string>

namespace hostnet::engine {
namespace {

constexpr const char* kPackage = "install libcurl: on Debian and Ubuntu, apt-get install libcurl4";

template <class Function>
void resolve(void* library, const char* name, Function*& into) {
  into = reinterpret_cast<Function*>(::dlsym(library, name));
  if (into == nullptr)
    throw Error(Errc::engine_unavailable, fmt::format("the libcurl found here lacks {}", name), kPackage);
}

}  // namespace

Curl Curl::load(std::span<const char* const> sonames) {
  void* library = nullptr;  // never closed: curl must not go while a handle, in any thread, is alive
  std::string reason;
  for (const char* soname : sonames) {
    library = ::dlopen(soname, RTLD_NOW | RTLD_LOCAL);
    if (library != nullptr) break;
    if (reason.empty()) reason = ::dlerror();
  }
  if (library == nullptr)
    throw Error(Errc::engine_unavailable,
                fmt::format("libcurl, which speaks to the container engine, does not load: {}", reason),
                kPackage);
  Curl table{};
  resolve(library, "curl_global_init", table.global_init);
  resolve(library, "curl_easy_init", table.easy_init);
  resolve(library, "curl_easy_cleanup", table.easy_cleanup);
  resolve(library, "curl_easy_reset", table.easy_reset);
  resolve(library, "curl_easy_setopt", table.easy_setopt);
  resolve(library, "curl_easy_perform", table.easy_perform);
  resolve(library, "curl_easy_getinfo", table.easy_getinfo);
  resolve(library, "curl_easy_strerror", table.easy_strerror);
  resolve(library, "curl_easy_send", table.easy_send);
  resolve(library, "curl_easy_recv", table.easy_recv);
  resolve(library, "curl_slist_append", table.slist_append);
  resolve(library, "curl_slist_free_all", table.slist_free_all);
  if (const CURLcode code = table.global_init(CURL_GLOBAL_DEFAULT); code != CURLE_OK)
    throw Error(Errc::engine_unavailable,
                fmt::format("libcurl does not start: {}", table.easy_strerror(code)));
  return table;
}

const Curl& Curl::get() {
  // The second is Debian's build with GnuTLS, which git and others bring along. What differs is the wording
  // of TLS errors (transport_error.cpp).
  static constexpr std::array<const char*, 2> sonames{"libcurl.so.4", "libcurl-gnutls.so.4"};
  static const Curl table = load(sonames);
  return table;
}

List make_list(std::initializer_list<const char*> texts) {
  List list;
  for (const char* text : texts) {
    curl_slist* const longer = Curl::get().slist_append(list.get(), text);
    if (longer == nullptr) throw std::bad_alloc();
    static_cast<void>(list.release());  // The same list, or the first element of an empty one.
    list.reset(longer);
  }
  return list;
}

}  // namespace hostnet::engine
