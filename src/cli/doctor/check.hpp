// What doctor says about one thing.
#pragma once

#include "cli/output.hpp"

#include <string>

namespace hostnet::cli::doctor {

enum class Status { ok, warn, fail };

/// The sign before a line of text: "✓", "!" or "✗", in colour where the output has it.
inline Text mark(Status status) {
  switch (status) {
    case Status::ok:
      return paint(Tone::good, "✓");
    case Status::warn:
      return paint(Tone::doubtful, "!");
    case Status::fail:
      return paint(Tone::bad, "✗");
  }
  return {};
}

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
