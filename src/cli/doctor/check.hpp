// What doctor says about one thing.
#pragma once

#include <string>

namespace hostnet::cli::doctor {

enum class Status { ok, warn, fail };

/// "ok", "warn" or "fail", as --json has it.
const char* to_string(Status status) noexcept;

/// One line of finding and, unless ok, the command or step that mends it.
struct Check {
  std::string name;  ///< Part of the JSON interface: "kernel", "bridge", …
  Status status = Status::ok;
  std::string finding;
  std::string mend;

  bool operator==(const Check&) const = default;
};

}  // namespace hostnet::cli::doctor
