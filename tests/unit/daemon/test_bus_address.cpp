// The bus's address, in a form that also reaches a restarted bus.
#include "daemon/bus_address.hpp"

#include <doctest/doctest.h>

using namespace hostnet::daemon;

TEST_CASE("the bus's guid is removed from its address") {
  CHECK(without_guid("unix:path=/run/dbus/system_bus_socket,guid=1f2e") ==
        "unix:path=/run/dbus/system_bus_socket");
  CHECK(without_guid("unix:guid=1f2e,path=/run/bus") == "unix:path=/run/bus");
  CHECK(without_guid("unix:path=/a,guid=1;unix:abstract=b,guid=2") == "unix:path=/a;unix:abstract=b");
}

TEST_CASE("the rest of an address stays unchanged") {
  for (const char* address : {"", "unix:path=/run/dbus/system_bus_socket", "unix:path=/run/guid=1",
                              "tcp:host=127.0.0.1,port=7,family=ipv4", "nonsense"})
    CHECK(without_guid(address) == address);
}
