// The umbrella header: `#include <hostnet/hostnet.hpp>`.
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
/// make_exposer() selects a path, Exposer::expose() makes a lease, and the returned Exposure owns it: its
/// destructor restores every setting. GenericImage starts a container, and Container owns it.
///
/// **Errors.** A failing call throws Error. Destructors and library threads report to the log sink
/// (set_log_sink()). The library prints nothing.
///
/// **Threads.** Functions and classes are thread-safe where their comment says so. A value (Target, HostPort,
/// ContainerPort, WaitFor, GenericImage, every options struct) is safe to read from several threads, as a
/// standard container is. These calls start threads, all named `tchn-…` (`ps -T`):
///
/// | call | threads | end with |
/// |---|---|---|
/// | Exposer::expose(), Exposer::expose_all() | monitor, tunnel, listener | its last Exposure and itself |
/// | make_exposer() with an `on_state` | one for the callback | the same |
/// | GenericImage::start() with host ports | as expose() | the Container |
/// | Container::expose_host_port() | as expose() | the Container |
/// | all of these | short-lived: another network namespace, a hosts file | the call or the lease |
///
/// **Signals.** Library threads block every signal except those of a fault in the thread itself (SIGSEGV and
/// its kind), so signals reach the program's own threads. The library installs no handler and changes no
/// disposition. It works with any SIGCHLD disposition, and with a program that reaps every child; its
/// socket writes raise no SIGPIPE.
///
/// **fork(2).** A child owns nothing that its parent made. In the child, destructors of the parent's objects
/// do nothing, and Exposer::expose(), expose_all() and Exposure::release() throw Error{failure}. The child may make
/// exposers. It may start containers only when its parent started none, because the containers of a process
/// end with it.
///
/// **Process.** The library changes neither the environment nor the working directory. Its descriptors are
/// close-on-exec.
namespace hostnet {}
