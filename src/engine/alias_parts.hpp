// Shared by the source files of engine/alias.hpp.
#pragma once

#include "engine/alias.hpp"
#include "engine/container_file.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace hostnet::engine {

constexpr std::size_t kLargestHostsFile = 4U << 20;
constexpr std::string_view kByHand =
    "add --no-alias, and use the address instead of the name in the container";

/// The two paths to the hosts file: HostsPath on the host, and /etc/hosts in the container. @throws Error as
/// in container_file.hpp.
std::optional<HeldFile> hold_hosts_path(const AliasRecord& record, Walk walk);
std::optional<HeldFile> hold_hosts(const AliasRecord& record, Walk walk);

Error mounted_by_user(std::string_view container);

}  // namespace hostnet::engine
