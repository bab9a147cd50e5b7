// What this process last saw of a journal, so that a holder of many leases does not read or write anew, for
// each change, what has not changed.
//
// A journal is only ever replaced by another file, never written in place. So the file that was seen last,
// kept open lest its inode be given to another, tells with one stat(2) whether anybody has changed anything
// since.
#pragma once

#include "core/fd.hpp"
#include "state/lease.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::state {

/// Of one journal file. Not thread-safe.
class JournalMemory {
 public:
  /// What is held, as peek(). The caller has the journal's lock, or can live with what was held a moment ago.
  /// @throws Error: state_corrupt, not_authorised.
  const Holdings& load(const std::filesystem::path& file, std::string_view boot_id);
  /// The text to write for `holdings`; of a lease that is as it was, the text that is there already.
  std::string text_of(const Holdings& holdings, std::string_view boot_id);
  /// text_of() was written to the file, or, without leases, the file was removed. With the journal's lock.
  void saved(const std::filesystem::path& file, const Holdings& holdings);

 private:
  Fd seen_;
  Holdings holdings_;
  std::vector<std::string> texts_;  // of the leases, where they are known
};

}  // namespace hostnet::state
