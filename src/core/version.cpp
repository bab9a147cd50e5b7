// The version of the library, as compiled.
#include "hostnet/version.hpp"

namespace hostnet {

const char* version() noexcept { return HOSTNET_VERSION; }

}  // namespace hostnet
