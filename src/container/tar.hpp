// A tar archive of a few files, as the engine unpacks it in a container. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hostnet::container {

struct TarFile {
  std::string path;  ///< Absolute.
  std::string content;
  unsigned mode = 0644;
};

/// In the ustar format of POSIX.1-1988; the files are root's. Folders on the way to them are not in it: an
/// engine makes those that lack, and would give those that are there the archive's permissions.
/// @throws Error{invalid_argument} for a path that the format cannot hold (some 250 bytes) or with "..".
std::string make_tar(const std::vector<TarFile>& files);

}  // namespace hostnet::container
