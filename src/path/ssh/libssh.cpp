// Opening libssh at run time.
#include "path/ssh/libssh.hpp"

namespace hostnet::ssh {

const Libssh& Libssh::get() {
  static const Libssh table = [] {
    const Library library({.sonames = {"libssh.so.4"},
                           .name = "libssh",
                           .purpose = ", which carries the tunnel,",
                           .code = Errc::no_path,
                           .hint = "install libssh: on Debian and Ubuntu, apt-get install libssh-4"});
    Libssh functions{};
    HOSTNET_LIBSSH_FUNCTIONS(HOSTNET_LIBRARY_FIND)
    return functions;
  }();
  return table;
}

}  // namespace hostnet::ssh
