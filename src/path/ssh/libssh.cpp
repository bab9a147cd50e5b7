// Opening libssh at run time.
#include "path/ssh/libssh.hpp"

#include "hostnet/error.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

namespace hostnet::ssh {
namespace {

constexpr const char* kPackage = "install libssh: on Debian and Ubuntu, apt-get install libssh-4";

template <class Function>
void resolve(void* library, const char* name, Function*& into) {
  into = reinterpret_cast<Function*>(::dlsym(library, name));
  if (into == nullptr)
    throw Error(Errc::no_path, fmt::format("the libssh found here lacks {}", name), kPackage);
}

Libssh load() {
  // Never closed: its handles live in several threads.
  void* const library = ::dlopen("libssh.so.4", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    throw Error(Errc::no_path,
                fmt::format("libssh, which carries the tunnel, does not load: {}", ::dlerror()), kPackage);
  Libssh table{};
#define X(name) resolve(library, #name, table.name);
  HOSTNET_LIBSSH_FUNCTIONS(X)
#undef X
  return table;
}

}  // namespace

const Libssh& Libssh::get() {
  static const Libssh table = load();
  return table;
}

}  // namespace hostnet::ssh
