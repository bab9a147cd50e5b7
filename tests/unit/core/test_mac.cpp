// Ethernet addresses: their text, and new ones.
#include "core/mac.hpp"

#include <doctest/doctest.h>

#include <set>

using hostnet::Mac;

TEST_CASE("an Ethernet address and its text") {
  CHECK(Mac::parse("02:42:C6:12:00:02").value().to_string() == "02:42:c6:12:00:02");
  for (const char* wrong :
       {"", "02:42:c6:12:00", "02:42:c6:12:00:02:03", "2:42:c6:12:00:02", "02-42-c6-12-00-02",
        "02:42:c6:12:00:0g", "02:42:c6:12:00:+2", "02:42:c6:12:00: 2"})
    CHECK_FALSE(Mac::parse(wrong));
}

TEST_CASE("a random address is locally administered, unicast, and unique") {
  std::set<Mac> seen;
  for (int i = 0; i < 1000; ++i) {
    const auto mac = Mac::random();
    CHECK((mac.bytes[0] & 0x03) == 0x02);
    CHECK(seen.insert(mac).second);
  }
}
