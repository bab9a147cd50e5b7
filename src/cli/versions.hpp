// What `version` shows beside the version of tc-hostnet itself.
#pragma once

#include <string>
#include <vector>

namespace hostnet::cli {

/// A library that this command uses, as it is found at run time.
struct LibraryVersion {
  const char* name;
  const char* use;      ///< What for: "ssh path".
  std::string version;  ///< Empty: the library is not installed.
  std::string file;     ///< Of a shared library; empty for one that is compiled in.
};

/// Opens those that are loaded on first use.
std::vector<LibraryVersion> library_versions();

}  // namespace hostnet::cli
