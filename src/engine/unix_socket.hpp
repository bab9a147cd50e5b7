// Connecting to an engine's Unix socket, and which users could be the ones that answer there.
//
// Theory of operation
//
// What an engine says of bridges, processes and files of this machine is acted upon with our privileges. So
// it must be an engine of root's, or of the user that we are: a user who owns the socket, or a folder on the
// way to it, can answer in the engine's place, and would choose which file root writes to.
//
// One inode. The kernel resolves the path once, into an O_PATH descriptor, and what is connected to is that
// inode (/proc/self/fd), whatever becomes of the path meanwhile. The judgement is about the same inode: the
// path is walked by hand, folder by folder and link by link, and has to end there. So a path that is changed
// between the two is a fault, and never a way in.
//
// The way. Each folder, symbolic link and the socket itself belongs to root or to us. A folder that its group
// or others may write to has the sticky bit, which keeps them from replacing what is not theirs (/tmp). Links
// of procfs lead elsewhere than they read, and so do not pass. The socket's own mode means nothing here: who
// may connect to it is another question (root:docker 0660 is the usual answer).
//
// The peer. SO_PEERCRED has the uid of who called listen(2), also where the file system tells owners at its
// own discretion, as FUSE does. Of a socket that systemd passes to the engine that is systemd's.
#pragma once

#include "core/fd.hpp"
#include "engine/address.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <string>

namespace hostnet::engine {

/// A connection to a Unix socket.
struct UnixConnection {
  Fd fd;               ///< Connected; it does not block.
  uid_t uid = 0;       ///< Of the process that listens there, and
  pid_t listener = 0;  ///< its pid; 0 where it is in a pid namespace that we do not see.
  /// Why another user than root and ourselves could be the one that answers, as the end of a sentence: "its
  /// folder /home/ann belongs to uid 1000"; empty: none could.
  std::string fault;
};

/// A socket that was opened and judged, to be connected to by whatever path() says while this lives.
struct UnixTarget {
  Fd inode;           ///< O_PATH.
  std::string path;   ///< For connect(2): "/proc/self/fd/7".
  std::string fault;  ///< As UnixConnection has it, but for the peer.
};

/// @throws Error: invalid_argument for a path that does not fit a Unix socket's address, engine_unavailable,
/// not_authorised.
UnixTarget open_unix(const Address& address);

/// Who listens at the other end of a connected socket. `fault` is set unless it is set. @throws Error.
ucred peer_of(int fd, std::string& fault);

/// Waits for nothing. Thread-safe. @throws Error: invalid_argument for a path that does not fit a Unix
/// socket's address, engine_unavailable, not_authorised.
UnixConnection connect_unix(const Address& address);

/// What is on the way to a socket.
enum class OnTheWay { folder, link, socket };

/// Why what has this status may not be on the way, for a process of effective uid `own`; empty: it may. Pure.
std::string fault_of(OnTheWay what, const std::string& path, const struct stat& status, uid_t own);

/// Walks an absolute path to the socket that is `there` already; why it does not pass, or empty. Changes
/// nothing, follows links by itself. @throws std::bad_alloc alone.
std::string fault_on_way(const std::string& path, const struct stat& there, uid_t own);

}  // namespace hostnet::engine
