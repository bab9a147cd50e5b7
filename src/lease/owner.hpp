// Whether the owner of a lease is alive, shown by a lock that the kernel releases when the owner dies.
//
// Each owner keeps a file under owners/ locked with flock(2) while it holds leases. The lock ends with the
// process, however it ends, and works across pid namespaces, where a pid means nothing. A forked child that
// never called exec() keeps the descriptor and the lock; pid and start time detect that, within one pid
// namespace.
//
//   lifetime      lock file                              process               is_alive()
//   persistent    not read                               –                     yes
//   any other     missing, or PrivateFolder refuses it   –                     no
//                 cannot be opened or locked             –                     yes
//                 not locked                             –                     no
//   descriptor,   locked                                 –                     yes
//   connection
//   process       locked, in another pid namespace       –                     yes
//                 locked, in this pid namespace          not running           no
//                                                        running               yes
//                                                        its main thread is    yes, if the lock and another
//                                                        a zombie              thread last for 100 ms
#pragma once

#include "core/fd.hpp"
#include "lease/lease.hpp"
#include "lease/private_folder.hpp"

#include <filesystem>
#include <functional>
#include <string>

namespace hostnet::state {

/// This process as an owner of leases, alive while the object exists.
class Owner {
 public:
  /// Makes and locks a file in `folder`/owners, with missing folders. @throws Error.
  explicit Owner(const std::filesystem::path& folder);
  Owner(Owner&&) noexcept = default;
  Owner& operator=(Owner&&) noexcept = default;
  /// Removes the file.
  ~Owner();

  [[nodiscard]] const OwnerId& id() const noexcept { return id_; }

 private:
  std::filesystem::path folder_;
  Fd lock_;
  OwnerId id_;
};

/// A lock that ends with the last duplicate of its descriptor, which may go to another process; a lease's
/// life can depend on it. The descriptor is read-only and the file has mode 0400, so its holder can neither
/// write the file nor reopen it.
struct Keepalive {
  std::string token;
  Fd fd;
};

/// Makes and locks a file in `folder`/owners, with missing folders. Journal::tidy() removes the file when no
/// descriptor holds its lock. @throws Error.
Keepalive make_keepalive(const std::filesystem::path& folder);

/// The folder owners/, created if missing. @throws Error as PrivateFolder::make().
PrivateFolder make_owners_folder(const std::filesystem::path& folder);

/// Removes the file of this token under owners/.
void remove_owner_file(const std::filesystem::path& folder, const std::string& token) noexcept;
/// Removes the files whose lock is free and whose token `is_named` does not know, then the folder owners/ if
/// it is empty. Keeps files that no owner can have made. @throws Error.
void remove_owner_files(const PrivateFolder& folder, const std::function<bool(const std::string&)>& is_named);

/// Whether the owner of a lease is alive (table above). Unreadable facts count as alive: a lease must not end
/// while its owner may still need it. Waits 100 ms at most.
/// @throws Error{not_authorised} if the folder belongs to another user.
bool is_alive(const std::filesystem::path& folder, const OwnerId& owner);

}  // namespace hostnet::state
