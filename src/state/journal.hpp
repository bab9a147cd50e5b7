// The journal of what is held on this host: one JSON file a network namespace, under the runtime directory.
//
// It is the truth about leases; the kernel's tables are made to follow it. Everything that changes either
// happens under the journal's lock, so two processes never interleave, and the file is replaced in one step,
// so a process killed at any moment leaves the old text or the new. What a change is about to do is written
// *before* it is done (a lease that is being set up, the sysctl's prior value, the hosts files to be edited;
// `releasing` before tear-down), so whoever comes next knows what may have to be undone.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "state/journal_memory.hpp"
#include "state/lease.hpp"

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace hostnet::state {

/// The runtime directory: `configured`, else $TC_HOSTNET_RUNTIME_DIR, else /run/tc-hostnet.
std::filesystem::path runtime_dir(const std::string& configured);

/// The folder of the calling thread's network namespace within it, named by the namespace's cookie.
std::filesystem::path namespace_dir(const std::filesystem::path& runtime_dir);

/// Exclusive access to one namespace's journal, from construction to destruction. Not thread-safe.
class Journal {
 public:
  /// Makes the folder (mode 0700) if need be and waits for the lock.
  /// @throws Error: not_authorised, timed_out, failure; also when the folder belongs to somebody else.
  /// `memory`, of this journal and for as long as the object, saves reading and writing.
  Journal(std::filesystem::path folder, Deadline deadline, JournalMemory* memory = nullptr);

  /// What is held. An absent file, and one from before this boot, is nothing.
  /// @throws Error{state_corrupt} when the file is not a journal; failure.
  [[nodiscard]] Holdings load() const;
  /// Replaces the file in one step; nothing held removes it. @throws Error.
  void save(const Holdings& holdings) const;
  /// Removes owner files that nobody holds and, when nothing at all is held, the folder itself: a namespace
  /// that is gone must not leave one behind for ever. The object keeps the lock, but only save() nothing
  /// after this.
  void tidy(const Holdings& holdings) const noexcept;
  /// Moves a corrupt journal out of the way, to journal.json.corrupt. @throws Error.
  void set_aside() const;

  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_; }

 private:
  std::filesystem::path folder_;
  JournalMemory* memory_;
  Fd lock_;
};

/// What is held, without taking the lock and without creating anything: for looking only.
/// @throws Error: state_corrupt, not_authorised.
Holdings peek(const std::filesystem::path& folder);
Holdings peek(const std::filesystem::path& folder, JournalMemory& memory);

/// The file's text, and back. from_json() throws Error{state_corrupt} for anything to_json() cannot have
/// written.
std::string to_json(const Holdings& holdings, std::string_view boot_id);
/// The same, with the texts of its leases.
std::string to_json(const Holdings& holdings, std::span<const std::string> leases, std::string_view boot_id);
std::string to_json(const Lease& lease);
Holdings from_json(std::string_view text, std::string_view boot_id);

}  // namespace hostnet::state
