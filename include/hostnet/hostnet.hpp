// Everything, for `#include <hostnet/hostnet.hpp>`.
#pragma once

#include "hostnet/container.hpp"
#include "hostnet/error.hpp"
#include "hostnet/export.hpp"
#include "hostnet/exposer.hpp"
#include "hostnet/exposure.hpp"
#include "hostnet/firewall.hpp"
#include "hostnet/image.hpp"
#include "hostnet/log.hpp"
#include "hostnet/path.hpp"
#include "hostnet/port.hpp"
#include "hostnet/target.hpp"
#include "hostnet/version.hpp"
#include "hostnet/wait_for.hpp"

/// Lets containers reach services that listen on the 127.0.0.1 of their host.
///
/// make_exposer() chooses a path, Exposer::expose() makes a lease, and the Exposure is that lease: with its
/// destructor everything is as before. Whatever fails throws Error. The library prints nothing
/// (set_log_sink()) and changes neither signal handlers nor the environment.
///
/// Its threads have all signals blocked but those that tell of a fault of the thread itself (SIGSEGV and its
/// like): the program's signals are for the program's threads. It needs no SIGCHLD, which the program may
/// ignore or handle as it likes. After fork(2) the child owns nothing of what the parent made: destructors do
/// nothing there, and the child may make exposers of its own. Containers it should start only where the
/// parent had started none: a session of containers ends with the process that began it.
namespace hostnet {}
