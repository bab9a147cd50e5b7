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
// could act) of one name, it must not be this machine's own /etc/hosts, where HostsPath can be seen from here
// it must be that very inode, and it must be the inode that it was when the lease was made
// (AliasRecord::file), lest a container with mount rights of its own lead us to edit some other file of the
// host. A file that the user mounted there is the user's, and refused (Docker then calls that one HostsPath,
// so alias_record() goes by the container's list of mounts). Only then is that inode, not the path, opened.
// Removal makes the same checks as writing.
//
// No waiting for the container. Its processes can hold up whoever opens the file: by a lease on it (fcntl(2),
// 45 seconds, and again), by flock(2), or by being the file system (FUSE) or a fanotify(7) listener
// themselves. So it is opened without blocking, a file system that a program serves is neither walked nor
// asked (container_file.cpp), and all of it is done in a child process that can be given up (core/apart.hpp),
// with one budget for all the files of an operation: edit_aliases(). The caller holds no lock meanwhile that
// the repair of a guard needs.
//
// Right container. The engine names a pid. On another machine (an engine in a VM) the same number is somebody
// else's, so alias_record() demands evidence: the pid's hosts file is HostsPath, or its control group names
// the container. From then on the pid's start time stands for the process, checked before and after
// /proc/PID/root is opened: equal both times, the root opened in between was its own.
//
// Read-only containers (`--read-only`) have the hosts file mounted read-only, and so it is written by
// HostsPath, on the same condition: the same inode. When the container is gone at removal, or has something
// else at /etc/hosts, its file may still lie at HostsPath, to be mounted again at the next start by engines
// that keep it; our line is taken out there, if it is the inode of the record.
#pragma once

#include "core/deadline.hpp"
#include "core/ipv4.hpp"
#include "engine/client.hpp"
#include "engine/hosts_file.hpp"
#include "hostnet/error.hpp"

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::engine {

/// For all the hosts files that one operation edits.
constexpr std::chrono::milliseconds kAliasBudget{2000};

/// Which file, as stat(2) tells it on this host; of zeros where it is not known.
struct FileId {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;

  [[nodiscard]] bool is_known() const noexcept { return inode != 0; }
  bool operator==(const FileId&) const = default;
};

/// Enough to find the hosts file again later, also after this process died. Kept in the journal.
struct AliasRecord {
  std::string container;        ///< Container id.
  pid_t pid = 0;                ///< Its first process, and
  std::uint64_t pid_start = 0;  ///< when that started, so that a reused pid is not taken for it.
  std::string hosts_path;       ///< The file on the engine's host, may be empty.
  FileId file = {};             ///< The file as the engine made it; not known in old journals.

  bool operator==(const AliasRecord&) const = default;
};

/// What write_alias() will touch. Waits for no file system for longer than kAliasBudget. @throws Error:
/// conflict unless the container runs with the hosts file that its engine made, not_found when its process is
/// not one of this machine's, not_authorised, timed_out.
AliasRecord alias_record(const Container& container);

/// Whether HostsPath is there to be seen, and is the file of the record: then the engine made it.
bool is_at_hosts_path(const AliasRecord& record);

enum class AliasResult {
  written,
  already_there,  ///< The user's own entry gives the same address, or one as good: left alone, and
                  ///< remove_alias() leaves it too.
};

/// Adds the alias; written, without a second line, when this lease has it there already. `as_good` are the
/// other addresses that lead where `address` does, such as the one that the engine puts for `host-gateway`.
/// May be kept waiting by the container beyond `deadline`, so it is for a process that can be given up:
/// edit_aliases().
/// @throws Error: conflict (already_defined()) when the user's own entry or another lease gives another
/// address, or the container's hosts file is one that the user mounted there, not_found when the container
/// has gone, not_authorised (CAP_SYS_PTRACE and write access are needed), timed_out when another process
/// keeps a lock or a lease on the file until the deadline, failure.
AliasResult write_alias(const AliasRecord& record, std::string_view alias, Ipv4 address,
                        std::string_view lease, std::span<const Ipv4> as_good = {},
                        Deadline deadline = Deadline::after(kAliasBudget));

/// What both ways of writing the alias throw when somebody else has given it another address: conflict, "host
/// port exposure: … is already defined in container …".
Error already_defined(std::string_view alias, std::string_view container, const Definition& by);

/// Removes what write_alias() added for this lease, after the same checks and with the same waiting. Nothing
/// when the container or the line is gone. @throws Error as write_alias().
void remove_alias(const AliasRecord& record, std::string_view lease,
                  Deadline deadline = Deadline::after(kAliasBudget));

/// Whether this process is allowed to: the daemon, for one, may not look into containers. True as well when
/// there is nothing to remove any more. Touches nothing of the container's.
bool may_remove_alias(const AliasRecord& record);

/// One edit of one container's hosts file.
struct AliasEdit {
  AliasRecord record;
  std::string lease;
  std::optional<Ipv4> address;  ///< What the alias shall lead to; nullopt takes our line out.
  std::vector<Ipv4> as_good = {};
};

/// write_alias() or remove_alias() for each, whatever the containers do to hold that up: all have ended, or
/// been given up, at `deadline`, and a file that is not to be had at once is tried again until then when the
/// others are done. What came of each: nullopt, or the error; timed_out for one that may go better another
/// time. Thread-safe. @throws Error: failure when nothing could be tried.
std::vector<std::optional<Error>> edit_aliases(std::span<const AliasEdit> edits, std::string_view alias,
                                               Deadline deadline = Deadline::after(kAliasBudget));

/// The text of the container's hosts file, whosever it is, within the budget. @throws Error as write_alias().
std::string read_hosts_outside(const AliasRecord& record);

}  // namespace hostnet::engine
