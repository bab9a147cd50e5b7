// The id of a new lease: random, or that of the lease which it continues.
//
// A lease that follows its target (watch/follower.hpp) is made anew after a restart, and keeps its id for those who
// wrote it down. The id is no part of a request, so it goes from the follower to the path that makes the lease
// through a variable of their thread.
#pragma once

#include <string>

namespace hostnet::exposer {

/// While it lives, the next lease of this thread gets this id.
class ContinuedLease {
 public:
  explicit ContinuedLease(std::string id);
  ContinuedLease(const ContinuedLease&) = delete;
  ContinuedLease& operator=(const ContinuedLease&) = delete;
  ~ContinuedLease();
};

/// Eight hexadecimal digits for the lease that is being made. @throws Error.
std::string new_lease_id();

}  // namespace hostnet::exposer
