// An eventfd and a list.
#include "daemon/inbox.hpp"

#include "hostnet/error.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

namespace hostnet::daemon {

Inbox::Inbox() : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_) throw Error::from_errno("eventfd", errno);
}

void Inbox::put(Letter letter) noexcept {
  const std::scoped_lock lock(mutex_);
  letters_.push_back(std::move(letter));
  const std::uint64_t one = 1;
  // Fails only when the counter is full, and then the loop is already awake.
  [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
}

std::vector<Inbox::Letter> Inbox::take() {
  const std::scoped_lock lock(mutex_);
  std::uint64_t count = 0;
  [[maybe_unused]] const auto read = ::read(wake_.get(), &count, sizeof count);
  return std::exchange(letters_, {});
}

}  // namespace hostnet::daemon
