// Whether the owner of a lease still lives, told by a lock that the kernel lets go when the owner dies.
//
// Each owner keeps a file under owners/ locked with flock(2) for as long as it holds leases. The lock ends
// with the process, however it ends, and it tells the truth across pid namespaces, where a pid says nothing.
// It does not end while a forked child that never called exec() keeps the descriptor; the pid and start time,
// where they can be judged (same pid namespace), catch that.
#pragma once

#include "core/fd.hpp"
#include "state/lease.hpp"

#include <filesystem>

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
  std::filesystem::path file_;
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

/// The file under owners/ to which a token belongs.
std::filesystem::path owner_file(const std::filesystem::path& folder, const std::string& token);

/// Whether the owner of a journalled lease lives. Unreadable facts count as alive: a lease must not be taken
/// from somebody who may still need it.
bool is_alive(const std::filesystem::path& folder, const OwnerId& owner);

}  // namespace hostnet::state
