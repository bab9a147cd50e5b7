// dlopen(3) and dlsym(3).
#include "core/library.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <string>
#include <utility>

namespace hostnet {

Library::Library(LibraryNames names) : names_(std::move(names)) {
  std::string reason;
  for (const char* soname : names_.sonames) {
    handle_ = ::dlopen(soname, RTLD_NOW | RTLD_LOCAL);
    if (handle_ != nullptr) return;
    if (reason.empty()) reason = ::dlerror();
  }
  throw Error(names_.code, fmt::format("{}{} does not load: {}", names_.name, names_.purpose, reason),
              names_.hint);
}

void* Library::address_of(const char* function) const {
  void* const address = ::dlsym(handle_, function);
  if (address == nullptr)
    throw Error(names_.code, fmt::format("the installed {} lacks {}", names_.name, function), names_.hint);
  return address;
}

}  // namespace hostnet
