// The journal of what is held on this host: one file a network namespace, under the runtime directory.
//
// It is the truth about leases; the kernel's tables are made to follow it. Everything that changes either
// happens under the journal's lock, so two processes never interleave, and a process killed at any moment
// leaves the old state or the new in the file (journal_file.hpp). What a change is about to do is written
// *before* it is done (a lease that is being set up, the sysctl's prior value, the hosts files to be edited;
// `releasing` before tear-down), so whoever comes next knows what may have to be undone.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "lease/journal_file.hpp"
#include "lease/runtime_dir.hpp"
#include "lease/snapshot.hpp"

#include <filesystem>
#include <string>
#include <string_view>

namespace hostnet::state {

/// The folder of the calling thread's network namespace within it, named by the namespace's cookie.
std::filesystem::path namespace_dir(const std::filesystem::path& runtime_dir);

/// Exclusive access to one namespace's journal, from construction to destruction. Not thread-safe.
class Journal {
 public:
  /// Makes the folder (mode 0700) if need be and waits for the lock. `file` is used as long as the object.
  /// @throws Error: not_authorised also for a folder or a lock that PrivateFolder refuses; timed_out,
  /// failure.
  Journal(JournalFile& file, Deadline deadline);

  /// What is held. @throws as JournalFile::read().
  [[nodiscard]] Snapshot load() const { return file_.read(); }
  /// Makes the file say what is held; nothing held removes it. @throws as JournalFile::write().
  void save(const Snapshot& snapshot) const { file_.write(snapshot); }
  /// Removes owner files that nobody holds and, when nothing at all is held, the folder itself: a namespace
  /// that is gone must not leave one behind for ever. The object keeps the lock, but only save() nothing
  /// after this.
  void tidy(const Snapshot& snapshot) const noexcept;
  /// Moves a corrupt journal out of the way, to journal.jsonl.corrupt. @throws Error.
  void set_aside() const;

 private:
  JournalFile& file_;
  Fd lock_;
};

/// What is held, without taking the lock and without creating anything: for looking only.
/// @throws Error: state_corrupt, not_authorised.
Snapshot peek(const std::filesystem::path& folder);

/// Whether there is a folder for a journal. @throws Error{not_authorised} for one that is not this user's.
bool has_journal_folder(const std::filesystem::path& folder);

/// A whole file of one line, and back, with the changes that follow it; the last line counts only when it has
/// its end. from_json() throws Error{state_corrupt} for anything that the two functions to_json… cannot have
/// written.
std::string to_json(const Snapshot& snapshot, std::string_view boot_id);
Snapshot from_json(std::string_view text, std::string_view boot_id);

/// The line that leads from one state to another of the same boot and firewall; empty when they are equal.
std::string to_json_change(const Snapshot& from, const Snapshot& to);
/// Whole lines of such changes. @throws Error{state_corrupt}, with the change half done.
void apply_changes(Snapshot& snapshot, std::string_view lines);

}  // namespace hostnet::state
