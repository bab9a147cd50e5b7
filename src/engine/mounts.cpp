// Reads proc(5).
#include "engine/mounts.hpp"

#include "core/file.hpp"
#include "core/strings.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hostnet::engine {

std::vector<Mount> parse_mounts(std::string_view mountinfo) {
  std::vector<Mount> mounts;
  for (const auto line : split(mountinfo, '\n')) {
    // 36 35 98:0 /root /point rw,noatime master:1 - ext4 /dev/root rw
    const auto fields = split(line, ' ');
    const auto dash = std::ranges::find(fields, "-");
    if (fields.size() < 5 || dash == fields.end() || dash + 1 == fields.end()) continue;
    const auto id = parse_number(fields[0], UINT64_MAX);
    if (id) mounts.push_back({*id, std::string(fields[4]), std::string(*(dash + 1))});
  }
  return mounts;
}

bool is_served_by_program(std::string_view type) { return type.starts_with("fuse"); }

std::optional<std::uint64_t> mount_of(int fd) {
  const auto info = try_read_file(fmt::format("/proc/self/fdinfo/{}", fd));
  if (!info) return std::nullopt;
  constexpr std::string_view key = "mnt_id:";
  for (const auto line : split(*info, '\n'))
    if (line.starts_with(key)) return parse_number(trim(line.substr(key.size())), UINT64_MAX);
  return std::nullopt;
}

}  // namespace hostnet::engine
