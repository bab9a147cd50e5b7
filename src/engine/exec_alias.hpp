// Writes the alias into a running container's hosts file by a command inside the container, for users who may
// command the engine but not touch the container's files from outside. The image needs `sh` and `cat`;
// engine/alias.hpp needs nothing.
//
// The commands run as the container's root, so a symbolic link leads no further than that root can go. They
// change the file in place, because it is a mount: the container would not see a new file moved over it.
//
// Others edit it at the same time: the owners of other leases, from outside or by such commands. A command writes
// only what it has read a moment before, under the lock of engine/alias.hpp if the image has flock(1), as most
// have. Without flock, an edit between that reading and the writing, some 0.1 ms, is undone.
#pragma once

#include "engine/alias.hpp"
#include "engine/containers.hpp"

namespace hostnet::engine {

/// The text of the container's hosts file. @throws Error: failure when the image has no `cat`; also what exec
/// throws.
std::string read_hosts_inside(Containers& containers, const Container& container, Deadline deadline);

/// As write_alias(). @throws Error: conflict ("host port exposure … already defined") when the file, or
/// another lease, gives the alias another address; failure when the file cannot be written.
AliasResult write_alias_inside(Containers& containers, const Container& container, std::string_view alias,
                               Ip address, std::string_view lease, Deadline deadline,
                               std::span<const std::string> beside = {}, std::optional<Ip> bare = {});

/// As remove_alias(). Does nothing when the container is gone or not running.
void remove_alias_inside(Containers& containers, const Container& container, std::string_view lease,
                         Deadline deadline, std::string_view alias = {}, std::optional<Ip> bare = {});

}  // namespace hostnet::engine
