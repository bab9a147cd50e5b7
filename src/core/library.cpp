// dlopen(3) and dlsym(3).
#include "core/library.hpp"

#include <dlfcn.h>
#include <fmt/format.h>
#include <link.h>

#include <filesystem>
#include <string>
#include <system_error>
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

std::string Library::file() const {
  link_map* map = nullptr;
  std::error_code error;
  if (::dlinfo(handle_, RTLD_DI_LINKMAP, &map) != 0 || map == nullptr) return {};
  const auto file = std::filesystem::canonical(map->l_name, error);
  return error ? std::string() : file.string();
}

}  // namespace hostnet
