// Writes decisions to the journal or to the log.
#include "daemon/decision_log.hpp"

#include "core/log.hpp"
#include "core/printable.hpp"

#include <fmt/format.h>
#include <sys/uio.h>
#include <syslog.h>
#include <systemd/sd-journal.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <string_view>

namespace hostnet::daemon {
namespace {

constexpr std::size_t kMaxValue = 256;
constexpr std::string_view kPrefix = "HOSTNET_";

}  // namespace

std::vector<std::pair<const char*, std::string>> fields_of(const Decision& decision) {
  std::vector<std::pair<const char*, std::string>> fields;
  const auto add = [&](const char* name, std::string_view value) {
    if (!value.empty()) fields.emplace_back(name, printable(value, kMaxValue));
  };
  add("HOSTNET_DECISION", decision.granted ? "granted" : "refused");
  if (decision.uid) add("HOSTNET_UID", fmt::format("{}", *decision.uid));
  if (decision.pid != 0) add("HOSTNET_PID", fmt::format("{}", decision.pid));
  add("HOSTNET_CALLER", decision.caller);
  add("HOSTNET_METHOD", decision.method);
  add("HOSTNET_INTERFACE", decision.interface);
  add("HOSTNET_PORTS", decision.ports);
  add("HOSTNET_ACTION", decision.action);
  add("HOSTNET_REASON", decision.reason);
  return fields;
}

std::string line_of(const Decision& decision) {
  std::string line;
  for (const auto& [name, value] : fields_of(decision)) {
    if (line.empty()) {
      line = value;
      continue;
    }
    line += ' ';
    for (const char c : std::string_view(name).substr(kPrefix.size()))
      line += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    // A quote inside the value would end it.
    std::string unquoted = value;
    std::ranges::replace(unquoted, '"', '\'');
    line += unquoted.find_first_of(" =") == std::string::npos ? fmt::format("={}", unquoted)
                                                              : fmt::format("=\"{}\"", unquoted);
  }
  return line;
}

bool logs_to_journal() noexcept { return std::getenv("JOURNAL_STREAM") != nullptr; }

void record(const Decision& decision) {
  const auto line = line_of(decision);
  if (!logs_to_journal()) return log::info("{}", line);
  std::vector<std::string> entries{"MESSAGE=" + line, fmt::format("PRIORITY={}", LOG_INFO)};
  for (const auto& [name, value] : fields_of(decision)) entries.push_back(fmt::format("{}={}", name, value));
  std::vector<iovec> parts;
  for (auto& entry : entries) parts.push_back({.iov_base = entry.data(), .iov_len = entry.size()});
  ::sd_journal_sendv(parts.data(), static_cast<int>(parts.size()));
}

}  // namespace hostnet::daemon
