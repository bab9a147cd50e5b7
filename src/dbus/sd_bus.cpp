// Opening libsystemd at run time.
#include "dbus/sd_bus.hpp"

#include "hostnet/error.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

namespace hostnet::dbus {
namespace {

constexpr const char* kPackage = "install libsystemd: on Debian and Ubuntu, apt-get install libsystemd0";

template <class Function>
void resolve(void* library, const char* name, Function*& into) {
  into = reinterpret_cast<Function*>(::dlsym(library, name));
  if (into == nullptr)
    throw Error(Errc::no_path, fmt::format("the libsystemd found here lacks {}", name), kPackage);
}

SdBus load() {
  // Never closed: its handles live in several threads.
  void* const library = ::dlopen("libsystemd.so.0", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    throw Error(Errc::no_path, fmt::format("libsystemd, which speaks D-Bus, does not load: {}", ::dlerror()),
                kPackage);
  SdBus table{};
#define X(name) resolve(library, #name, table.name);
  HOSTNET_SD_BUS_FUNCTIONS(X)
#undef X
  return table;
}

}  // namespace

const SdBus& SdBus::get() {
  static const SdBus table = load();
  return table;
}

}  // namespace hostnet::dbus
