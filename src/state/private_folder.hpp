// The folders that state is kept in: whoever could write there could make us undo settings of their choosing.
#pragma once

#include <filesystem>

namespace hostnet::state {

/// Makes the folder, mode 0700, if it is not there; its parent must be.
/// @return false when another process has tidied it away in this moment.
/// @throws Error: not_authorised when it is no folder of this user's or others may write it, failure.
bool make_private_folder(const std::filesystem::path& folder);

}  // namespace hostnet::state
