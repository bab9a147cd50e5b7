// The result of one doctor check.
#pragma once

#include "cli/output.hpp"

#include <string>

namespace hostnet::cli::doctor {

/// `unseen`: the fact could not be read, by this user or at all. It is neither ok nor a failure.
enum class Status { ok, warn, unseen, fail };

/// The sign at the start of a line: "✓", "!", "?" or "✗", in colour if the output shows colours.
inline Text mark(Status status) {
  switch (status) {
    case Status::ok:
      return paint(Tone::good, "✓");
    case Status::warn:
      return paint(Tone::doubtful, "!");
    case Status::unseen:
      return paint(Tone::doubtful, "?");
    case Status::fail:
      return paint(Tone::bad, "✗");
  }
  return {};
}

/// "ok", "warn", "unseen" or "fail", as in --json.
const char* to_string(Status status) noexcept;

/// A finding in one line and, unless ok, the command or step that fixes it.
struct Check {
  std::string name;  ///< Part of the JSON interface: "kernel", "bridge", …
  Status status = Status::ok;
  std::string finding;
  std::string mend;

  bool operator==(const Check&) const = default;
};

}  // namespace hostnet::cli::doctor
