// The journal of the leases on this host: one file per network namespace, under the runtime directory.
//
// The journal is the truth; the kernel's tables follow it. Every change to either happens under the journal's
// lock, so two processes never interleave. A process killed at any moment leaves the old state or the new one
// in the file (journal_file.hpp). The journal announces each change *before* the kernel changes (the new
// lease, the sysctl's prior value, the hosts files to edit; `releasing` before tear-down), so the next
// process knows what to undo.
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

/// The folder of the calling thread's network namespace in `runtime_dir`, named by the namespace's cookie.
std::filesystem::path namespace_dir(const std::filesystem::path& runtime_dir);

/// Exclusive access to one namespace's journal, from construction to destruction. Not thread-safe.
class Journal {
 public:
  /// Creates the folder (mode 0700) if it is missing and waits for the lock. `file` must outlive the object.
  /// @throws Error: not_authorised (also for a folder or lock that PrivateFolder refuses), timed_out,
  /// failure.
  Journal(JournalFile& file, Deadline deadline);

  /// The leases in the file. @throws as JournalFile::read().
  [[nodiscard]] Snapshot load() const { return file_.read(); }
  /// Writes the snapshot; an empty one removes the file. @throws as JournalFile::write().
  void save(const Snapshot& snapshot) const { file_.write(snapshot); }
  /// Removes owner files without a lock and, if the snapshot is empty, the folder, so that a deleted
  /// namespace leaves no folder behind. The object keeps the lock; afterwards save() only an empty snapshot.
  void tidy(const Snapshot& snapshot) const noexcept;
  /// Renames a corrupt journal to journal.jsonl.corrupt. @throws Error.
  void set_aside() const;

 private:
  JournalFile& file_;
  Fd lock_;
};

/// Reads the journal without the lock and creates nothing. Read-only use.
/// @throws Error: state_corrupt, not_authorised.
Snapshot peek(const std::filesystem::path& folder);

/// Whether the journal's folder exists. @throws Error{not_authorised} if it belongs to another user.
bool has_journal_folder(const std::filesystem::path& folder);

/// to_json() writes a whole file of one line. from_json() reads that line and the changes after it; a last
/// line without its newline does not count. from_json() throws Error{state_corrupt} for anything that
/// to_json() and to_json_change() cannot have written.
std::string to_json(const Snapshot& snapshot, std::string_view boot_id);
Snapshot from_json(std::string_view text, std::string_view boot_id);

/// The line that turns one snapshot into another of the same boot and firewall; empty if they are equal.
std::string to_json_change(const Snapshot& from, const Snapshot& to);
/// Applies whole lines of changes. @throws Error{state_corrupt}; the snapshot is then half changed.
void apply_changes(Snapshot& snapshot, std::string_view lines);

}  // namespace hostnet::state
