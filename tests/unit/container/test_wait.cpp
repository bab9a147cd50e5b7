// The parts of waiting that need no container.
#include "container/wait.hpp"

#include <doctest/doctest.h>

#include <string>

using hostnet::container::Finder;
using hostnet::container::has_listener;

TEST_CASE("a text is found however the pieces are cut") {
  const std::string text = "server is ready now";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    Finder finder("ready", 1);
    const bool first = finder.feed(text.substr(0, cut));
    CHECK((first || finder.feed(text.substr(cut))));
  }
  Finder by_byte("ready", 1);
  bool found = false;
  for (const char c : text) found = by_byte.feed(std::string(1, c)) || found;
  CHECK(found);
  CHECK_FALSE(Finder("ready", 1).feed("read y, rea dy, READY"));
}

TEST_CASE("as often as requested, without overlap") {
  Finder twice("aa", 2);
  CHECK_FALSE(twice.feed("aaa"));
  CHECK(twice.feed("a"));
  Finder three("x", 3);
  CHECK_FALSE(three.feed("xx"));
  CHECK(three.feed("yx"));
}

TEST_CASE("listeners in the kernel's table") {
  const std::string head =
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n";
  const auto row = [&](const std::string& local, const std::string& state) {
    return head + "   0: " + local + " 00000000:0000 " + state +
           " 00000000:00000000 00:00000000 00000000     0\n";
  };
  CHECK(has_listener(row("00000000:1F90", "0A"), 8080));
  CHECK(has_listener(row("021312C6:1F90", "0A"), 8080));
  CHECK_FALSE(has_listener(row("00000000:1F90", "0A"), 8081));
  CHECK_FALSE(has_listener(row("00000000:1F90", "01"), 8080));  // a connection
  CHECK_FALSE(has_listener(row("0100007F:1F90", "0A"), 8080));  // 127.0.0.1
  CHECK(has_listener(row("00000000000000000000000000000000:1F90", "0A"), 8080));
  CHECK_FALSE(has_listener(row("00000000000000000000000001000000:1F90", "0A"), 8080));  // ::1
  CHECK_FALSE(has_listener(row("0000000000000000FFFF00000100007F:1F90", "0A"), 8080));  // ::ffff:127.0.0.1
  CHECK(has_listener(head + row("00000000:0050", "0A") + head + row("00000000:1F90", "0A"), 8080));
  for (const char* nonsense :
       {"", "\n", "x", "0: :1F90 0:0 0A", "0: 0:1F90 0:0 0A", "0: zzzzzzzz:1F90 0 0A x"})
    CHECK_NOTHROW(has_listener(nonsense, 8080));
}
