// How commands that hold leases until a signal hear of it.
#pragma once

#include "core/fd.hpp"

namespace hostnet::cli {

/// A descriptor that is readable after SIGINT, SIGTERM or SIGHUP. Blocks them, so that only it gets them: call it before
/// the first thread, since threads inherit the mask. Ignores SIGPIPE from now on: a reader that closes its end must not
/// prevent the release at the end. @throws Error{failure}
Fd stop_signals();

}  // namespace hostnet::cli
