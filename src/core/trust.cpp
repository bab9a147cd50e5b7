// Judges what fstat(2) says of a descriptor: a path could lead elsewhere the next time.
#include "core/trust.hpp"

#include <fmt/format.h>
#include <unistd.h>

namespace hostnet {

bool is_of_another(const struct stat& facts) { return facts.st_uid != 0 && facts.st_uid != ::geteuid(); }

std::string distrust(const struct stat& facts) {
  if (is_of_another(facts)) return fmt::format("it belongs to uid {}", facts.st_uid);
  if ((facts.st_mode & S_IWOTH) != 0) return "every user can write it";
  if ((facts.st_mode & S_IWGRP) != 0 && ::geteuid() == 0)
    return fmt::format("group {} can write it", facts.st_gid);
  return {};
}

}  // namespace hostnet
