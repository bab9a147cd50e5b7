// Counts what each user holds.
#include "daemon/quota.hpp"

#include "hostnet/error.hpp"

#include <fmt/format.h>

namespace hostnet::daemon {

Quota::Quota(Limits limits) : limits_(limits), books_(std::make_shared<Books>()) {}

Quota::Share Quota::take(uid_t uid, std::size_t ports, bool kept) {
  const auto check = [&](std::size_t wanted, std::size_t limit, const char* of) {
    if (!kept && wanted > limit)
      throw Error(Errc::quota_exceeded, fmt::format("the limit of {} {} is reached", limit, of),
                  "release leases that are no longer needed");
  };
  auto& use = books_->by_uid[uid];
  check(books_->leases + 1, limits_.leases, "leases of all users");
  if (uid != 0) {
    check(use.leases + 1, limits_.leases_per_uid, "leases of one user");
    check(use.ports + ports, limits_.ports_per_uid, "ports of one user");
  }
  books_->leases += 1;
  use.leases += 1;
  use.ports += ports;
  return {books_, uid, {.leases = 1, .ports = ports}};
}

Quota::Share Quota::wait(uid_t uid) {
  auto& use = books_->by_uid[uid];
  if (use.prompts + 1 > limits_.prompts_per_uid)
    throw Error(Errc::quota_exceeded,
                fmt::format("{} requests of one user already wait for an answer", limits_.prompts_per_uid),
                "answer the prompts first");
  use.prompts += 1;
  return {books_, uid, {.prompts = 1}};
}

Quota::Share Quota::call(uid_t uid) {
  auto& use = books_->by_uid[uid];
  if (uid != 0 && use.calls + 1 > limits_.calls_per_uid)
    throw Error(Errc::quota_exceeded,
                fmt::format("{} calls of one user are still unanswered", limits_.calls_per_uid),
                "wait for the answers");
  use.calls += 1;
  return {books_, uid, {.calls = 1}};
}

Quota::Share& Quota::Share::operator=(Share&& other) noexcept {
  if (this == &other) return *this;
  give_back();
  books_ = std::move(other.books_);
  uid_ = other.uid_;
  use_ = other.use_;
  return *this;
}

Quota::Share::~Share() { give_back(); }

void Quota::Share::give_back() noexcept {
  if (!books_) return;
  auto& use = books_->by_uid[uid_];
  use.leases -= use_.leases;
  use.ports -= use_.ports;
  use.prompts -= use_.prompts;
  use.calls -= use_.calls;
  books_->leases -= use_.leases;
  if (use.leases == 0 && use.prompts == 0 && use.calls == 0) books_->by_uid.erase(uid_);
  books_.reset();
}

}  // namespace hostnet::daemon
