// One log line for each decision: caller, request, granted or refused, and the reason.
//
// In the journal each fact is a field (journalctl HOSTNET_DECISION=refused); elsewhere the line contains
// key=value pairs. Values that other users can influence are truncated, and unprintable bytes are escaped.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hostnet::daemon {

struct Decision {
  std::string caller;        ///< Unique bus name.
  std::optional<uid_t> uid;  ///< Empty when a message was refused before the bus was asked for its uid.
  pid_t pid = 0;             ///< 0 in the same case.
  std::string method;
  std::string interface;  ///< The network's.
  std::string ports;
  std::string action;  ///< Asked of polkit; empty: polkit was not asked.
  bool granted = false;
  std::string reason;
};

/// The fields that have a value, under their journal names, safe to print. Pure.
std::vector<std::pair<const char*, std::string>> fields_of(const Decision& decision);
/// "refused uid=20003 pid=77 caller=:1.9 method=Expose ... reason='...'". Pure.
std::string line_of(const Decision& decision);

/// Whether this process logs to the journal.
bool logs_to_journal() noexcept;

/// Logs a decision. Ignores write errors. Thread-safe.
void record(const Decision& decision);

}  // namespace hostnet::daemon
