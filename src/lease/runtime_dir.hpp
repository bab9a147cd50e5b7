// Where state is kept. Never in a folder that all users share, such as /tmp: another user could be there
// first.
#pragma once

#include <filesystem>
#include <string>

namespace hostnet::state {

/// Of leases on the native path: `configured`, else $TC_HOSTNET_RUNTIME_DIR, else /run/tc-hostnet.
std::filesystem::path runtime_dir(const std::string& configured);

/// Of leases on the ssh path, which need no privilege: the same where it is configured, and for root; else
/// $XDG_RUNTIME_DIR/tc-hostnet, $XDG_STATE_HOME/tc-hostnet, ~/.local/state/tc-hostnet. A variable that holds
/// no absolute path counts as unset, and so does a $HOME that belongs to another user, where there is a home
/// in the user database. @throws Error{failure} for a user without a home.
std::filesystem::path user_dir(const std::string& configured);

}  // namespace hostnet::state
