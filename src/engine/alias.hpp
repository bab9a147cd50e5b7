// Writes the alias into a running container's hosts file from outside, and removes it again.
//
// Theory of operation
//
// Which file. An engine makes one hosts file per container on the host (HostsPath) and bind-mounts it onto
// the container's /etc/hosts. We reach it through the container's own root, /proc/PID/root/etc/hosts. That
// needs no shell in the image and no exec by the engine, and works where HostsPath is a path of another mount
// namespace.
//
// In place. The bind mount is on the inode: the container never sees a new file renamed over HostsPath. So
// one O_APPEND write adds our line, and removal shortens the same inode. Our own processes exclude each other
// with flock(2). The engine takes no lock when it rewrites the file on a network connect: it can drop our
// line, and between our read and our write we can drop one of its lines. Both windows last two system calls.
//
// No way out of the container. Root in the container decides what /etc/hosts is. So openat2(2) resolves the
// path below the container's root and follows no symbolic link, and an O_PATH descriptor holds the result
// while it is checked. It must be
//   - a regular file: opening a FIFO could block, opening a device could act;
//   - of one name;
//   - not this machine's own /etc/hosts;
//   - the inode at HostsPath, if HostsPath is visible from here;
//   - the inode recorded when the lease was made (AliasRecord::file): a container with mount rights could
//     otherwise lead us to another file of the host.
// We refuse a file that the user mounted there (Docker then reports that file as HostsPath, so alias_record()
// reads the container's list of mounts). Only after these checks is the inode opened, never the path. Removal
// makes the same checks.
//
// No waiting for the container. Its processes can delay an open(2): by a lease on the file (fcntl(2), 45
// seconds, repeatedly), by flock(2), or as a FUSE file system or a fanotify(7) listener. So we open without
// blocking, neither walk nor query a file system that a program serves (container_file.cpp), and do all of it
// in a child process that can be abandoned (core/apart.hpp). The caller meanwhile holds no lock that repair
// needs.
//
// Right container. The engine reports a pid. For an engine on another machine (in a VM) that number belongs
// to another process here, so alias_record() requires evidence: the pid's hosts file is HostsPath, or its
// control group names the container. From then on pid and start time identify the process. The start time is
// checked before and after /proc/PID/root is opened; if both match, the opened root is that process's.
//
// Read-only containers (`--read-only`) mount the hosts file read-only. We then write through HostsPath, if it
// is the same inode. When the container is gone at removal, or has another file at /etc/hosts, its own file
// may still exist at HostsPath, and some engines mount it again at the next start. We remove our line there
// if it is the recorded inode.
//
// States of one edit in edit_aliases():
//
//   state   event                                          next
//   ------  ---------------------------------------------  ------------------------------------------------
//   open    child wrote or removed the line                done, nullopt
//   open    any error except timed_out                     done, with that error
//   open    file locked or leased (EAGAIN)                 open, timed_out noted, tried in the next round
//   open    child exceeds the stall limit                  open, child abandoned, tried in the next round
//   open    deadline                                       done, with the last error: timed_out
//
// Timeouts:
//
//   kAliasBudget       2000 ms        all files of one operation; also alias_record() and the other readers
//   kStall             500 ms         one file per round, until a child has stalled; then kAliasBudget
//   kRetryPause        5 … 100 ms     between rounds, doubled each time
//   kPause             5 … 100 ms     write_alias(), remove_alias(): between attempts to open a leased file
#pragma once

#include "core/deadline.hpp"
#include "core/ip.hpp"
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

/// Time limit for all the hosts files that one operation edits.
constexpr std::chrono::milliseconds kAliasBudget{2000};

/// Identity of a file on this host, from stat(2); zeros if unknown.
struct FileId {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;

  [[nodiscard]] bool is_known() const noexcept { return inode != 0; }
  bool operator==(const FileId&) const = default;
};

/// What finds the hosts file again later, also after this process died. Kept in the lease store.
struct AliasRecord {
  std::string container;        ///< Container id.
  pid_t pid = 0;                ///< Its first process and
  std::uint64_t pid_start = 0;  ///< that process's start time, which detects a reused pid.
  std::string hosts_path;       ///< The file on the engine's host; may be empty.
  FileId file = {};             ///< The file as the engine made it; unknown in old records.
  std::string name = {};        ///< The container's, for messages; empty in old records.

  bool operator==(const AliasRecord&) const = default;
};

/// The container as messages call it: by its name, else by the short id that `docker ps` shows.
std::string called(const AliasRecord& record);

/// The record that write_alias() needs. Waits for a file system for kAliasBudget at most. @throws Error:
/// conflict unless the container runs with the hosts file that its engine made, not_found when its process is
/// not on this machine, not_authorised, timed_out.
AliasRecord alias_record(const Container& container);

/// Whether HostsPath is visible here and is the recorded file, which shows that the engine made it. Takes
/// kAliasBudget at most. @throws Error as alias_record().
bool is_at_hosts_path(const AliasRecord& record);

enum class AliasResult {
  written,
  already_there,  ///< The user's own entry gives the same address or an equivalent one. Neither write_alias()
                  ///< nor remove_alias() touches it.
};

/// Adds the alias. Returns written, and adds no second line, if this lease's line exists already. `as_good`
/// holds the other addresses that lead where `address` does, such as the one that the engine resolves
/// `host-gateway` to. The container can delay this beyond `deadline`, so call it only in a process that can
/// be abandoned: see edit_aliases(). Lines of the leases in `beside` stay, and are no conflict. With `bare`, a bare
/// line with that address (engine/hosts_file.hpp, with_marks()) is the lease's, too.
/// @throws Error: conflict (already_defined()) when the user's own entry or another lease gives another
/// address, or when the user mounted the container's hosts file; not_found when the container is gone;
/// not_authorised (needs CAP_SYS_PTRACE and write access); timed_out when another process holds a lock or a
/// lease on the file until the deadline; failure.
AliasResult write_alias(const AliasRecord& record, std::string_view alias, Ip address, std::string_view lease,
                        std::span<const Ipv4> as_good = {}, Deadline deadline = Deadline::after(kAliasBudget),
                        std::span<const std::string> beside = {}, std::optional<Ip> bare = {});

/// The error of write_alias() and write_alias_inside() when the user or another lease gave the alias another
/// address: conflict, "host port exposure: … is already defined in container …". `container` is its name or
/// a short id.
Error already_defined(std::string_view alias, std::string_view container, const Definition& by);

/// Removes the line that write_alias() added for this lease, with the same checks and the same delays; with `bare`
/// also a bare one that gives `alias` that address. Does nothing when the container or the line is gone.
/// @throws Error as write_alias().
void remove_alias(const AliasRecord& record, std::string_view lease,
                  Deadline deadline = Deadline::after(kAliasBudget), std::string_view alias = {},
                  std::optional<Ip> bare = {});

/// As write_alias() and remove_alias(), for a hosts file that is open for reading and writing and that the
/// caller knows to be the container's. `container` is its name, for messages. Neither waits for the container
/// beyond the deadline, so they need no process of their own. Never used by two threads at once.
AliasResult write_alias_to(int file, std::string_view container, std::string_view alias, Ip address,
                           std::string_view lease, Deadline deadline = Deadline::after(kAliasBudget));
void remove_alias_from(int file, std::string_view lease, Deadline deadline = Deadline::after(kAliasBudget));

/// Whether this process may remove the alias; the daemon, for example, may not look into containers. True
/// also when there is nothing left to remove. Touches no file of the container.
bool may_remove_alias(const AliasRecord& record);

/// One edit of one container's hosts file.
struct AliasEdit {
  AliasRecord record;
  std::string lease;
  std::optional<Ip> address;  ///< The address to write; nullopt removes our line.
  std::vector<Ipv4> as_good = {};
  std::vector<std::string> beside = {};  ///< As in definition_by_others().
  std::optional<Ip> bare = {};           ///< A bare line with this address is the lease's.
};

/// Runs write_alias() or remove_alias() for each edit in child processes, so that no container can delay the
/// caller: every edit has ended or been abandoned at `deadline`. An edit that times out is tried again after
/// the others, until the deadline. Returns nullopt or the error of each edit; timed_out means that a later
/// attempt may succeed. Thread-safe. @throws Error: failure when no child process can start.
std::vector<std::optional<Error>> edit_aliases(std::span<const AliasEdit> edits, std::string_view alias,
                                               Deadline deadline = Deadline::after(kAliasBudget));

/// The text of the container's hosts file, also of one that the user mounted. Takes kAliasBudget at most.
/// @throws Error as write_alias().
std::string read_hosts_outside(const AliasRecord& record);

}  // namespace hostnet::engine
