// The version of the headers that a program is compiled with, and of the library that it runs with.
#pragma once

#include "hostnet/export.hpp"

#define HOSTNET_VERSION_MAJOR 0
#define HOSTNET_VERSION_MINOR 1
#define HOSTNET_VERSION_PATCH 0

namespace hostnet {

/// The version of the loaded library: "MAJOR.MINOR.PATCH". Never null. Thread-safe.
HOSTNET_EXPORT const char* version() noexcept;

}  // namespace hostnet
