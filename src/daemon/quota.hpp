// How much one user, and all together, may hold. A place is taken before polkit is asked, so that many
// requests in flight cannot pass together what each would pass alone.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <map>
#include <memory>

namespace hostnet::daemon {

struct Limits {
  std::size_t leases_per_uid = 32;
  std::size_t ports_per_uid = 128;
  std::size_t leases = 1024;        ///< Of all users together.
  std::size_t prompts_per_uid = 4;  ///< Requests of one user that wait for polkit's answer.
  std::size_t calls_per_uid = 64;   ///< Of all methods, from the call to its answer.
};

/// Not thread-safe. root is bound by the number of all leases only.
class Quota {
 public:
  explicit Quota(Limits limits);

  /// What a lease counts for; given back when it is destroyed, also after the Quota. Movable.
  class Share;
  /// @throws Error{quota_exceeded} naming the limit. A `kept` lease was there before the limits: it always
  /// fits.
  [[nodiscard]] Share take(uid_t uid, std::size_t ports, bool kept = false);
  /// A place among the user's requests that wait. @throws Error{quota_exceeded}.
  [[nodiscard]] Share wait(uid_t uid);
  /// A place among the user's calls that are not answered yet: what one user has in the daemon, and in front
  /// of others, is bounded. @throws Error{quota_exceeded}.
  [[nodiscard]] Share call(uid_t uid);

 private:
  struct Use {
    std::size_t leases = 0;
    std::size_t ports = 0;
    std::size_t prompts = 0;
    std::size_t calls = 0;
  };
  struct Books {
    std::map<uid_t, Use> by_uid;
    std::size_t leases = 0;
  };

  Limits limits_;
  std::shared_ptr<Books> books_;
};

class Quota::Share {
 public:
  Share() = default;
  Share(Share&&) noexcept = default;
  Share& operator=(Share&& other) noexcept;
  ~Share();

 private:
  friend Quota;
  Share(std::shared_ptr<Books> books, uid_t uid, Use use) : books_(std::move(books)), uid_(uid), use_(use) {}
  void give_back() noexcept;

  std::shared_ptr<Books> books_;
  uid_t uid_ = 0;
  Use use_;
};

}  // namespace hostnet::daemon
