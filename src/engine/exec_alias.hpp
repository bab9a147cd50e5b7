// Writes the alias into a running container's hosts file by a command inside the container: for those who may
// command the engine and may not touch the container's files from outside. It needs `sh` and `cat` in there;
// engine/alias.hpp is the way that needs nothing.
//
// The commands run as root inside, so a link in there leads nowhere else than it would lead the container's
// own root. The file is changed in place, for it is a mount: a new one moved over it would not be seen.
#pragma once

#include "engine/alias.hpp"
#include "engine/containers.hpp"

namespace hostnet::engine {

/// The text of the container's hosts file. @throws Error: failure when there is no `cat` in there, and what
/// exec throws.
std::string read_hosts_inside(Containers& containers, std::string_view id, Deadline deadline);

/// As write_alias(). @throws Error: conflict ("host port exposure … already defined") when the file, or
/// another lease, gives the alias another address; failure when the file cannot be written.
AliasResult write_alias_inside(Containers& containers, std::string_view id, std::string_view alias,
                               Ipv4 address, std::string_view lease, Deadline deadline);

/// As remove_alias(). Nothing when the container is gone or does not run.
void remove_alias_inside(Containers& containers, std::string_view id, std::string_view lease,
                         Deadline deadline);

}  // namespace hostnet::engine
