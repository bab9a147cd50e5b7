// What `version` shows beside the version of tc-hostnet itself.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hostnet::cli {

/// A library that this command uses, as it is found at run time.
struct LibraryVersion {
  const char* name;
  const char* use;      ///< What for: "ssh path".
  std::string version;  ///< Empty: the library has no function for it, or is not installed.
  std::string file;     ///< The shared library; empty: not installed.
};

/// Opens those that are loaded on first use.
std::vector<LibraryVersion> library_versions();

/// "1a2b3c4d", with a "+" if files were changed since; empty if the build was not made from a checkout.
std::string_view commit() noexcept;

}  // namespace hostnet::cli
