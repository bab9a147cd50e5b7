// libcurl, opened when the first request to an engine is made. Linking it would cost every start of the
// command about 7 ms of dynamic loading (TLS libraries and all), also where no engine is asked anything.
#pragma once

#include "core/library.hpp"

#define CURL_DISABLE_TYPECHECK  // its checking macros would rename the members below into calls of themselves
#include <curl/curl.h>

#include <initializer_list>
#include <memory>
#include <vector>

namespace hostnet::engine {

// Every function of libcurl that is used.
#define HOSTNET_CURL_FUNCTIONS(X) \
  X(curl_global_init)             \
  X(curl_easy_init)               \
  X(curl_easy_cleanup)            \
  X(curl_easy_reset)              \
  X(curl_easy_setopt)             \
  X(curl_easy_perform)            \
  X(curl_easy_getinfo)            \
  X(curl_easy_strerror)           \
  X(curl_easy_send)               \
  X(curl_easy_recv)               \
  X(curl_slist_append)            \
  X(curl_slist_free_all)

/// The functions, under their own names, so that a call reads as it does in libcurl's manual.
struct Curl {
  HOSTNET_CURL_FUNCTIONS(HOSTNET_LIBRARY_MEMBER)

  /// The process's one table, filled at the first call. Thread-safe; after a failure the next call tries
  /// again.
  /// @throws Error{engine_unavailable} naming the package to install.
  static const Curl& get();

  /// A table from the first of these shared objects that opens. @throws as get().
  static Curl load(std::vector<const char*> sonames);
};

struct EasyCleanup {
  void operator()(CURL* handle) const noexcept { Curl::get().curl_easy_cleanup(handle); }
};
using EasyHandle = std::unique_ptr<CURL, EasyCleanup>;

struct ListFree {
  void operator()(curl_slist* list) const noexcept { Curl::get().curl_slist_free_all(list); }
};
using List = std::unique_ptr<curl_slist, ListFree>;

/// The texts as libcurl's own kind of list. @throws std::bad_alloc.
List make_list(std::initializer_list<const char*> texts);

}  // namespace hostnet::engine
