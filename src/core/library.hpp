// The one way to load a library at run time.
//
// libcurl, libssh, libsystemd and libnftables each bring a dozen other libraries. Linked, they would add
// milliseconds of dynamic loading to every start of the command, even when unused, and every program that
// links libhostnet would depend on them.
//
// A library is one table: a list of functions as an X-macro, a struct whose members have the functions'
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
// The static's initialisation is thread-safe. After an exception the next call tries again.
#pragma once

#include "hostnet/error.hpp"

#include <string>
#include <vector>

namespace hostnet {

/// How to open a library, and how errors name it.
struct LibraryNames {
  std::vector<const char*> sonames;  ///< Tried in order; the first that opens is used.
  const char* name;                  ///< "libcurl"
  const char* purpose = "";          ///< ", which speaks to the container engine,"; may be empty.
  Errc code;                         ///< Of every error.
  const char* hint;                  ///< Which package to install.
};

/// An open library. It stays open until the process ends, because its handles may live in any thread.
class Library {
 public:
  /// @throws Error{names.code} when none opens, with the loader's error for the first.
  explicit Library(LibraryNames names);

  /// Sets a pointer to the function of this name. @throws Error{names.code} when the library lacks it.
  template <class Function>
  void find(const char* function, Function*& into) const {
    into = reinterpret_cast<Function*>(address_of(function));
  }

  /// The file that the loader opened, without symbolic links; empty if it cannot tell.
  [[nodiscard]] std::string file() const;

 private:
  [[nodiscard]] void* address_of(const char* function) const;

  LibraryNames names_;
  void* handle_ = nullptr;
};

#define HOSTNET_LIBRARY_MEMBER(name) decltype(&::name) name;
#define HOSTNET_LIBRARY_FIND(name) library.find(#name, functions.name);

}  // namespace hostnet
