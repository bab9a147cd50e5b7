// The owner of a netlink socket, for headers that hold one and need nothing else of libnl.
#pragma once

#include "core/fd.hpp"

#include <netlink/netlink.h>

namespace hostnet::netlink {

using Socket = unique_handle<nl_sock, nl_socket_free>;

}  // namespace hostnet::netlink
