// Who could have written a file that decides what this process does.
#pragma once

#include <sys/stat.h>

#include <string>

namespace hostnet {

/// Whether the file belongs to neither root nor this process's effective user.
bool is_of_another(const struct stat& facts);

/// Why another user could have written the open file, as "it belongs to uid 1000"; empty if only root and this user could.
/// For root also a group's right to write counts; for others not: with a group of their own and umask 002 a user's own files
/// are so.
std::string distrust(const struct stat& facts);

}  // namespace hostnet
