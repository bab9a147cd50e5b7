// Advice that its reader can follow.
#pragma once

#include <sys/types.h>

#include <string>

namespace hostnet {

/// The hint for a reader with this effective user id. Root is not told to run it as root, which many hints
/// say: what root lacks are capabilities, as in a container. Pure.
std::string advice_for(uid_t reader, const std::string& hint);

}  // namespace hostnet
