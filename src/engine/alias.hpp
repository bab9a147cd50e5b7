// Writes the alias into a running container's hosts file from outside, and takes it out again.
//
// Theory of operation
//
// Which file. Engines make one hosts file a container on the host (HostsPath) and bind-mount it onto
// /etc/hosts in there. It is reached through the container's own eyes, /proc/PID/root/etc/hosts, which needs
// no shell in the image, no exec by the engine, and holds as well where HostsPath is another mount
// namespace's path.
//
// Written in place. The mount is on the inode: a new file renamed over HostsPath would never be seen in the
// container. So one O_APPEND write adds our line, and removal shortens the same inode. Our own processes keep
// out of each other's way with flock. The engine, which rewrites the file when a network is connected, takes
// no lock: it may lose our line or, between our reading and our writing, we one of its; both last for two
// system calls.
//
// No way out of the container. Whoever is root in there decides what lies at /etc/hosts, so the path is
// resolved by openat2 below the container's root and through no symbolic link at all. The result is held by
// O_PATH before anything else is done to it: it must be a regular file (opening a FIFO could block, a device
// could act), it must not be this machine's own /etc/hosts, and where HostsPath can be seen from here it must
// be that very inode, lest a container with mount rights of its own lead us to append to some other file of
// the host. A file that the user mounted there is the user's, and refused (Docker then calls that one
// HostsPath, so alias_record() goes by the container's list of mounts). Only then is that inode, not the
// path, opened for writing.
//
// Right container. The engine names a pid. On another machine (an engine in a VM) the same number is somebody
// else's, so alias_record() demands evidence: the pid's hosts file is HostsPath, or its control group names
// the container. From then on the pid's start time stands for the process, checked before and after
// /proc/PID/root is opened: equal both times, the root opened in between was its own.
//
// Read-only containers (`--read-only`) have the hosts file mounted read-only, and so it is written by
// HostsPath, on the same condition: the same inode. When the container is gone at removal its file may still
// lie at HostsPath, to be mounted again at the next start by engines that keep it; our line is taken out
// there.
#pragma once

#include "core/ipv4.hpp"
#include "engine/client.hpp"
#include "engine/hosts_file.hpp"
#include "hostnet/error.hpp"

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace hostnet::engine {

/// Enough to find the hosts file again later, also after this process died. Kept in the journal.
struct AliasRecord {
  std::string container;        ///< Container id.
  pid_t pid = 0;                ///< Its first process, and
  std::uint64_t pid_start = 0;  ///< when that started, so that a reused pid is not taken for it.
  std::string hosts_path;       ///< The file on the engine's host, may be empty.

  bool operator==(const AliasRecord&) const = default;
};

/// What write_alias() will touch. @throws Error: conflict unless the container runs with the hosts file that
/// its engine made, not_found when its process is not one of this machine's, not_authorised.
AliasRecord alias_record(const Container& container);

enum class AliasResult {
  written,
  already_there,  ///< The user's own entry gives the same address, or one as good: left alone, and
                  ///< remove_alias() leaves it too.
};

/// Adds the alias; written, without a second line, when this lease has it there already. `as_good` are the
/// other addresses that lead where `address` does, such as the one that the engine puts for `host-gateway`.
/// @throws Error: conflict (already_defined()) when the user's own entry or another lease gives another
/// address, or the container's hosts file is one that the user mounted there, not_found when the container
/// has gone, not_authorised (CAP_SYS_PTRACE and write access are needed), timed_out when somebody holds a
/// lock on the file for more than two seconds, failure.
AliasResult write_alias(const AliasRecord& record, std::string_view alias, Ipv4 address,
                        std::string_view lease, std::span<const Ipv4> as_good = {});

/// What both ways of writing the alias throw when somebody else has given it another address: conflict, "host
/// port exposure: … is already defined in container …".
Error already_defined(std::string_view alias, std::string_view container, const Definition& by);

/// Removes what write_alias() added for this lease. Nothing when the container or the line is gone. @throws
/// Error.
void remove_alias(const AliasRecord& record, std::string_view lease);

/// Whether this process is allowed to: the daemon, for one, may not look into containers. True as well when
/// there is nothing to remove any more.
bool may_remove_alias(const AliasRecord& record);

}  // namespace hostnet::engine
