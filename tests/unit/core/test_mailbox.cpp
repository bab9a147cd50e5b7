// Letters from other threads: their order, and the descriptor that signals them.
#include "core/mailbox.hpp"

#include <doctest/doctest.h>
#include <poll.h>

#include <string>
#include <thread>

using namespace hostnet;

namespace {

bool tells(const Mailbox<std::string>& mailbox, int timeout = 0) {
  pollfd poll{mailbox.fd(), POLLIN, 0};
  return ::poll(&poll, 1, timeout) == 1;
}

}  // namespace

TEST_CASE("letters arrive in order, and the descriptor is readable while there is one") {
  Mailbox<std::string> mailbox;
  CHECK_FALSE(tells(mailbox));
  CHECK_FALSE(mailbox.next());
  mailbox.put("one");
  mailbox.put("two");
  CHECK(tells(mailbox));
  CHECK(mailbox.next() == "one");
  CHECK(tells(mailbox));
  mailbox.put("three");
  CHECK(mailbox.next() == "two");
  CHECK(mailbox.next() == "three");
  CHECK_FALSE(tells(mailbox));
  CHECK_FALSE(mailbox.next());
}

TEST_CASE("a letter from another thread wakes the waiting one, and all letters arrive") {
  Mailbox<std::string> mailbox;
  constexpr int kEach = 1000;
  const auto write = [&](const char* letter) {
    return std::jthread([&mailbox, letter] {
      for (int i = 0; i < kEach; ++i) mailbox.put(letter);
    });
  };
  const auto first = write("a");
  const auto second = write("b");
  int read = 0;
  while (read < 2 * kEach && tells(mailbox, 10'000))
    while (mailbox.next()) ++read;
  CHECK(read == 2 * kEach);
  CHECK_FALSE(tells(mailbox));
}
