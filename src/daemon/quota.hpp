// Limits per user and for all users. A request takes its place before polkit is asked, so that concurrent
// requests cannot exceed a limit together that each of them meets alone.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <map>
#include <memory>

namespace hostnet::daemon {

struct Limits {
  std::size_t leases_per_uid = 32;
  std::size_t ports_per_uid = 128;
  std::size_t leases = 1024;        ///< All users together.
  std::size_t prompts_per_uid = 4;  ///< Requests of one user that wait for polkit's answer.
  std::size_t calls_per_uid = 64;   ///< Open calls of all methods.
};

/// Not thread-safe. Only the total number of leases bounds root, which never waits for polkit.
class Quota {
 public:
  explicit Quota(Limits limits);

  /// A taken place. Its destructor gives it back, also after the Quota's end. Movable.
  class Share;
  /// A place for a lease. A `kept` lease always fits: it existed before.
  /// @throws Error{quota_exceeded} naming the limit.
  [[nodiscard]] Share take(uid_t uid, std::size_t ports, bool kept = false);
  /// A place for a request that waits for polkit. @throws Error{quota_exceeded}.
  [[nodiscard]] Share wait(uid_t uid);
  /// A place for an open call: bounds one user's memory in the daemon and the queue in front of other users.
  /// @throws Error{quota_exceeded}.
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
