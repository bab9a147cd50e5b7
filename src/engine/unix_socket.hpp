// Connects to an engine's Unix socket, and checks which users could answer there.
//
// Theory of operation
//
// We act with our privileges upon what an engine reports about bridges, processes and files of this machine.
// So the engine must be root's or our own user's: another user who owns the socket, or a folder on its path,
// could answer in the engine's place and choose which file root writes to.
//
// One inode. The kernel resolves the path once, into an O_PATH descriptor, and we connect to that inode
// (/proc/self/fd), even if the path changes meanwhile. The check is of the same inode: we walk the path
// ourselves, folder by folder and link by link, and the walk has to end there. A path that changes in between
// is a fault, never a way in.
//
// The path. Each folder, each symbolic link and the socket itself belongs to root or to us. A folder writable
// for its group or others has the sticky bit, which keeps them from replacing files of other users (/tmp). A
// link of procfs does not lead where its text says, so it is a fault. The socket's own mode does not matter:
// it says who may connect (root:docker 0660 is usual), not who answers.
//
// The listener. SO_PEERCRED gives the uid of the process that called listen(2), also on a file system that
// reports any owner it likes, such as FUSE. For a socket that systemd passes to the engine, that is
// systemd's.
//
// Events of connect_unix(), in order:
//
//   step                     event                                           result
//   -----------------------  ----------------------------------------------  --------------------------------
//   length of the path       does not fit sun_path                           invalid_argument
//   open(O_PATH)             fails                                           connect_error()
//   walk                     foreign owner; writable folder without sticky   fault
//                            bit; path changed; procfs link; more than 40
//                            links (kMostLinks)
//   /proc/self/fd            /proc is not mounted                            fault, connects by path
//   connect(2)               EAGAIN: the listener's queue is full            engine_unavailable
//   connect(2)               any other errno                                 connect_error()
//   SO_PEERCRED              listener is neither root nor our user           fault
//
// A fault does not stop the connection; it is reported to the caller (Client::why_remote()). Only the first
// one is kept. No timeouts: the socket does not block.
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
  uid_t uid = 0;       ///< The listener's uid.
  pid_t listener = 0;  ///< The listener's pid; 0 if it is in a pid namespace that we cannot see.
  /// Why a user other than root and us could be the one that answers, as the end of a sentence: "its folder
  /// /home/ann belongs to uid 1000"; empty if no other user could.
  std::string fault;
};

/// A socket that was opened and checked. Connect to `path` while this object lives.
struct UnixTarget {
  Fd inode;           ///< O_PATH.
  std::string path;   ///< For connect(2): "/proc/self/fd/7".
  std::string fault;  ///< As UnixConnection::fault, without the check of the listener.
};

/// Opens and checks the socket. @throws Error: invalid_argument for a path too long for a Unix socket,
/// engine_unavailable, not_authorised.
UnixTarget open_unix(const Address& address);

/// The listener at the other end of a connected socket. Sets `fault` if it is empty and the listener is
/// neither root nor our user. @throws Error.
ucred peer_of(int fd, std::string& fault);

/// Connects without waiting for the listener. Thread-safe. @throws Error as open_unix().
UnixConnection connect_unix(const Address& address);

/// The kinds of files on the path to a socket.
enum class OnTheWay { folder, link, socket };

/// Why a file with this status may not be on the path, for a process of effective uid `own`; empty if it may.
/// Pure.
std::string fault_of(OnTheWay what, const std::string& path, const struct stat& status, uid_t own);

/// Walks an absolute path and requires that it ends at the socket `there`. Returns the first fault, or empty.
/// Follows symbolic links itself; changes nothing. @throws std::bad_alloc only.
std::string fault_on_way(const std::string& path, const struct stat& there, uid_t own);

}  // namespace hostnet::engine
