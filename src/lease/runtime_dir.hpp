// The folders that hold state. Never in a shared folder such as /tmp, where another user could create the
// folder first.
#pragma once

#include <filesystem>
#include <string>

namespace hostnet::state {

/// For the native path: `configured`, else $TC_HOSTNET_RUNTIME_DIR, else /run/tc-hostnet.
std::filesystem::path runtime_dir(const std::string& configured);

/// For the ssh path, which needs no privilege: as runtime_dir() if a folder is configured and for root; else
/// $XDG_RUNTIME_DIR/tc-hostnet, $XDG_STATE_HOME/tc-hostnet, ~/.local/state/tc-hostnet. A variable without an
/// absolute path counts as unset. A $HOME of another user counts as unset if the user database has a home
/// folder. @throws Error{failure} for a user without a home folder.
std::filesystem::path user_dir(const std::string& configured);

}  // namespace hostnet::state
