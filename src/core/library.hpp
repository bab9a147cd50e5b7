// The one way to load a library at run time.
//
// libcurl, libssh, libsystemd and libnftables bring a dozen others each. Linked, they would cost every start
// of the command milliseconds of dynamic loading, also where they are not used, and every program that links
// libhostnet would depend on them.
//
// A library is one table: a list of functions as an X-macro, a struct whose members have the functions' own
// names, and a static `get()` that fills it once:
//
//   #define HOSTNET_THAT_FUNCTIONS(X) X(that_new) X(that_free)
//   struct That {
//     HOSTNET_THAT_FUNCTIONS(HOSTNET_LIBRARY_MEMBER)
//     static const That& get();
//   };
//   const That& That::get() {
//     static const That table = [] {
//       const Library library({…});
//       That functions{};
//       HOSTNET_THAT_FUNCTIONS(HOSTNET_LIBRARY_FIND)
//       return functions;
//     }();
//     return table;
//   }
//
// The initialisation of the static is thread-safe, and is tried again after it has thrown.
#pragma once

#include "hostnet/error.hpp"

#include <vector>

namespace hostnet {

/// A library as its errors name it.
struct LibraryNames {
  std::vector<const char*> sonames;  ///< The first that opens is taken.
  const char* name;                  ///< "libcurl"
  const char* purpose = "";          ///< ", which speaks to the container engine,"; may be empty.
  Errc code;                         ///< Of an error.
  const char* hint;                  ///< Which package to install.
};

/// An open library. It stays open to the end of the process: its handles may live in any thread.
class Library {
 public:
  /// @throws Error{names.code} when none of them opens, with the loader's words on the first.
  explicit Library(LibraryNames names);

  /// Sets a pointer to the function of this name. @throws Error{names.code} when there is none.
  template <class Function>
  void find(const char* function, Function*& into) const {
    into = reinterpret_cast<Function*>(address_of(function));
  }

 private:
  [[nodiscard]] void* address_of(const char* function) const;

  LibraryNames names_;
  void* handle_ = nullptr;
};

#define HOSTNET_LIBRARY_MEMBER(name) decltype(&::name) name;
#define HOSTNET_LIBRARY_FIND(name) library.find(#name, functions.name);

}  // namespace hostnet
