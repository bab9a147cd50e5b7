// libcurl, opened when the first request to an engine is made. Linking it would cost every start of the
// command about 7 ms of dynamic loading (TLS libraries and all), also where no engine is asked anything.
#pragma once

#define CURL_DISABLE_TYPECHECK  // its checking macros would rename the members below into calls of themselves
#include <curl/curl.h>

#include <initializer_list>
#include <memory>
#include <span>

namespace hostnet::engine {

/// The functions of libcurl that are used, under curl's names without the prefix.
struct Curl {
  decltype(&curl_global_init) global_init;
  decltype(&curl_easy_init) easy_init;
  decltype(&curl_easy_cleanup) easy_cleanup;
  decltype(&curl_easy_reset) easy_reset;
  decltype(&curl_easy_setopt) easy_setopt;
  decltype(&curl_easy_perform) easy_perform;
  decltype(&curl_easy_getinfo) easy_getinfo;
  decltype(&curl_easy_strerror) easy_strerror;
  decltype(&curl_easy_send) easy_send;
  decltype(&curl_easy_recv) easy_recv;
  decltype(&curl_slist_append) slist_append;
  decltype(&curl_slist_free_all) slist_free_all;

  /// The process's one table, filled at the first call. Thread-safe; after a failure the next call tries
  /// again.
  /// @throws Error{engine_unavailable} naming the package to install.
  static const Curl& get();

  /// Fills a table from the first of these shared objects that opens. @throws as get() does.
  static Curl load(std::span<const char* const> sonames);
};

struct EasyCleanup {
  void operator()(CURL* handle) const noexcept { Curl::get().easy_cleanup(handle); }
};
using EasyHandle = std::unique_ptr<CURL, EasyCleanup>;

struct ListFree {
  void operator()(curl_slist* list) const noexcept { Curl::get().slist_free_all(list); }
};
using List = std::unique_ptr<curl_slist, ListFree>;

/// The texts as libcurl's own kind of list. @throws std::bad_alloc.
List make_list(std::initializer_list<const char*> texts);

}  // namespace hostnet::engine
