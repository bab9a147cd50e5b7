// The version of the headers a program is compiled with.
#pragma once

#include "hostnet/export.hpp"

#define HOSTNET_VERSION_MAJOR 0
#define HOSTNET_VERSION_MINOR 1
#define HOSTNET_VERSION_PATCH 0

namespace hostnet {

/// The version of the library that runs, "MAJOR.MINOR.PATCH".
HOSTNET_EXPORT const char* version() noexcept;

}  // namespace hostnet
