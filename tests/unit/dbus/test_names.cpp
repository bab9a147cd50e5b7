// Errors keep their meaning across the bus.
#include "dbus/names.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace hostnet;
using namespace hostnet::dbus;

TEST_CASE("the caller catches the helper's error code") {
  for (const auto code : {Errc::not_authorised, Errc::interaction_required, Errc::invalid_argument,
                          Errc::not_found, Errc::not_listening, Errc::conflict, Errc::quota_exceeded,
                          Errc::no_path, Errc::firewall_blocked, Errc::timed_out, Errc::failure})
    CHECK(error_code(error_name(code)) == code);
}

TEST_CASE("the names of the interface") {
  CHECK(error_name(Errc::not_authorised) == std::string("org.freedesktop.DBus.Error.AccessDenied"));
  CHECK(error_name(Errc::not_found) == std::string("io.github.tchostnet.HostNet1.Error.NetworkInvalid"));
  CHECK(error_code(kNetworkChanged) == Errc::failure);
  CHECK(error_code(kLeaseNotFound) == Errc::not_found);
  CHECK(error_code("org.freedesktop.DBus.Error.ServiceUnknown") == Errc::no_path);
  CHECK(error_code("com.example.Other") == Errc::failure);
  CHECK(error_code("") == Errc::failure);
}
