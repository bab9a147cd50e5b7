// One line for each decision: who asked for what, granted or refused, and why.
//
// On the journal each fact is a field of its own (journalctl HOSTNET_DECISION=refused), elsewhere the line
// has them as key=value. Values that other users had a hand in are cut, and what is not printable is escaped.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hostnet::daemon {

struct Decision {
  std::string caller;        ///< Unique bus name.
  std::optional<uid_t> uid;  ///< Empty where a message was refused before the bus was asked whose it is.
  pid_t pid = 0;             ///< 0: likewise.
  std::string method;
  std::string interface;  ///< Of the network.
  std::string ports;
  std::string action;  ///< What polkit was asked for; empty: it was not asked.
  bool granted = false;
  std::string reason;
};

/// The fields that have a value, by their names in the journal, made safe to print. Pure.
std::vector<std::pair<const char*, std::string>> fields_of(const Decision& decision);
/// "refused uid=20003 pid=77 caller=:1.9 method=Expose ... reason='...'". Pure.
std::string line_of(const Decision& decision);

/// Whether the log of this process is the journal.
bool logs_to_journal() noexcept;

/// Logs it. Never throws for what cannot be written. Thread-safe.
void record(const Decision& decision);

}  // namespace hostnet::daemon
