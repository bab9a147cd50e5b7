// Opening libsystemd at run time.
#include "dbus/sd_bus.hpp"

namespace hostnet::dbus {

const SdBus& SdBus::get() {
  static const SdBus table = [] {
    const Library library({.sonames = {"libsystemd.so.0"},
                           .name = "libsystemd",
                           .purpose = ", which speaks D-Bus,",
                           .code = Errc::no_path,
                           .hint = "install libsystemd: on Debian and Ubuntu, apt-get install libsystemd0"});
    SdBus functions{};
    HOSTNET_SD_BUS_FUNCTIONS(HOSTNET_LIBRARY_FIND)
    return functions;
  }();
  return table;
}

}  // namespace hostnet::dbus
