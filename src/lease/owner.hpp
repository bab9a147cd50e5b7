// Whether the owner of a lease still lives, told by a lock that the kernel lets go when the owner dies.
//
// Each owner keeps a file under owners/ locked with flock(2) for as long as it holds leases. The lock ends
// with the process, however it ends, and it tells the truth across pid namespaces, where a pid says nothing.
// It does not end while a forked child that never called exec() keeps the descriptor; the pid and start time,
// where they can be judged (same pid namespace), catch that.
#pragma once

#include "core/fd.hpp"
#include "lease/lease.hpp"
#include "lease/private_folder.hpp"

#include <filesystem>
#include <functional>
#include <string>

namespace hostnet::state {

/// This process as an owner of leases: alive as long as the object.
class Owner {
 public:
  /// Makes and locks a file in `folder`/owners, making the folders. @throws Error.
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

/// A lock that ends with the last duplicate of one descriptor, which may be given to another process: the
/// life of a lease that is bound to it. Read-only, and of mode 0400, so that who has it can neither write the
/// file nor open it anew.
struct Keepalive {
  std::string token;
  Fd fd;
};

/// Makes and locks a file in `folder`/owners, making the folders. Journal::tidy() removes it when nobody
/// holds it any more. @throws Error.
Keepalive make_keepalive(const std::filesystem::path& folder);

/// The folder of such files. @throws Error as PrivateFolder::make().
PrivateFolder make_owners_folder(const std::filesystem::path& folder);

/// Removes the file under owners/ to which a token belongs.
void remove_owner_file(const std::filesystem::path& folder, const std::string& token) noexcept;
/// Removes those whose lock is free and that `is_named` does not know, and then the folder owners/ if it
/// is empty. Files that cannot be an owner's stay. @throws Error.
void remove_owner_files(const PrivateFolder& folder, const std::function<bool(const std::string&)>& is_named);

/// Whether the owner of a journalled lease lives. A file that PrivateFolder does not count is no sign of
/// life. Other facts that cannot be read count as alive: a lease must not be taken from somebody who may
/// still need it. @throws Error{not_authorised} for a folder that is not this user's.
bool is_alive(const std::filesystem::path& folder, const OwnerId& owner);

}  // namespace hostnet::state
