// Builds a tar archive of a few files, for an engine to unpack in a container or to load as an image. Pure
// functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hostnet {

struct TarFile {
  std::string path;  ///< Absolute.
  std::string content;
  unsigned mode = 0644;
};

/// Uses the ustar format of POSIX.1-1988; root owns the files. Contains no parent folders: the engine creates
/// missing ones, and would apply the archive's permissions to existing ones.
/// @throws Error{invalid_argument} for a path that the format cannot hold (some 250 bytes) or with "..".
std::string make_tar(const std::vector<TarFile>& files);

}  // namespace hostnet
