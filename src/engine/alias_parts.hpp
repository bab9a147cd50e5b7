// What the files of engine/alias.hpp have in common.
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
    "leave the container's hosts file alone with --no-alias, and name the address there";

/// For a message: what `docker ps` shows.
inline std::string short_id(const std::string& id) { return id.substr(0, 12); }

/// The two ways to the file, with the errors of container_file.hpp.
std::optional<HeldFile> hold_hosts_path(const AliasRecord& record, Walk walk);
std::optional<HeldFile> hold_hosts(const AliasRecord& record, Walk walk);

Error mounted_by_user(const std::string& container);

}  // namespace hostnet::engine
