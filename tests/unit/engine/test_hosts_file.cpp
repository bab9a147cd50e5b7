// hosts(5) text: which lines count as the alias and which as ours, and no other is touched.
#include "engine/hosts_file.hpp"
#include "hostnet/error.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

using namespace hostnet;
using namespace hostnet::engine;

namespace {

constexpr const char* kAlias = "host.testcontainers.internal";
const Ipv4 kAddress = Ipv4::parse("10.1.2.3").value();

}  // namespace

TEST_CASE("our line") {
  CHECK(alias_line(kAlias, kAddress, "L1") == "10.1.2.3\thost.testcontainers.internal # tc-hostnet L1\n");
  for (const char* bad : {"", "a b", "a\nb", "a#b", "a\tb", "a\x7f"}) {
    CHECK_THROWS_AS(alias_line(bad, kAddress, "L1"), Error);
    CHECK_THROWS_AS(alias_line(kAlias, kAddress, bad), Error);
  }
  for (const char* bad : {"$(id)", "a;b", "a'b", "a`b", "\xff"})
    CHECK_THROWS_AS(alias_line(kAlias, kAddress, bad), Error);
}

TEST_CASE("the alias is a whole word before any comment, in any case") {
  for (const char* text :
       {"1.2.3.4 host.testcontainers.internal", "1.2.3.4\thost.testcontainers.internal\n",
        "  1.2.3.4   other Host.TestContainers.INTERNAL third # note\n",
        "1.2.3.4 host.testcontainers.internal#note\n", "1.2.3.4 host.testcontainers.internal\r\n",
        "127.0.0.1 localhost\n1.2.3.4 a host.testcontainers.internal\n5.6.7.8 "
        "host.testcontainers.internal"}) {
    CAPTURE(text);
    CHECK(foreign_definition(text, kAlias) == "1.2.3.4");
    CHECK(defines(text, kAlias));
  }
  for (const char* text :
       {"", "\n", "# 1.2.3.4 host.testcontainers.internal\n", "1.2.3.4 host.testcontainers.internal.\n",
        "1.2.3.4 xhost.testcontainers.internal\n", "1.2.3.4 host.testcontainers.internal2\n",
        "1.2.3.4 # host.testcontainers.internal\n", "host.testcontainers.internal\n",
        "1.2.3.4 host.testcontainers\n.internal\n", "1.2.3.4\n"}) {
    CAPTURE(text);
    CHECK_FALSE(foreign_definition(text, kAlias));
    CHECK_FALSE(defines(text, kAlias));
  }
  CHECK(foreign_definition("fe80::1%eth0 host.testcontainers.internal\n", kAlias) == "fe80::1%eth0");
}

TEST_CASE("only its comment makes a line ours") {
  const auto ours = alias_line(kAlias, kAddress, "L1");
  CHECK(defines(ours, kAlias));
  CHECK_FALSE(foreign_definition(ours, kAlias));
  CHECK(foreign_definition(ours + "1.2.3.4 " + kAlias, kAlias) == "1.2.3.4");
  for (const char* comment :
       {"# tc-hostnet", "# tc-hostnet ", "#tc-hostnetL1", "# tc-hostnet L1 and mine", "# my tc-hostnet L1",
        "# tc-hostnet $(reboot)", "# tc-hostnet L1;reboot", "# tc-hostnet L1\x1b[2J"}) {
    CAPTURE(comment);
    const auto text = std::string("1.2.3.4 ") + kAlias + " " + comment + "\n";
    CHECK(foreign_definition(text, kAlias) == "1.2.3.4");
    CHECK(hostnet::engine::first_definitions(text, kAlias).front().lease.empty());
    CHECK(hostnet::engine::definition_by_others(text, kAlias, "L2")->lease.empty());
    CHECK(without_alias(text, "L1") == text);
  }
}

TEST_CASE("a line is added at the end, after a newline, and once") {
  const auto ours = alias_line(kAlias, kAddress, "L1");
  CHECK(with_alias("", kAlias, kAddress, "L1") == ours);
  CHECK(with_alias("a b\n", kAlias, kAddress, "L1") == "a b\n" + ours);
  CHECK(with_alias("a b", kAlias, kAddress, "L1") == "a b\n" + ours);
  CHECK(with_alias("a b\r\n", kAlias, kAddress, "L1") == "a b\r\n" + ours);
  const auto twice = with_alias(with_alias("x y\n", kAlias, kAddress, "L1"), kAlias, kAddress, "L2");
  CHECK(with_alias(twice, kAlias, kAddress, "L1") == twice);
  CHECK(with_alias(twice, kAlias, kAddress, "L2") == twice);
  CHECK(without_alias(twice, "L1") == "x y\n" + alias_line(kAlias, kAddress, "L2"));
}

TEST_CASE("removing deletes this lease's lines and no other byte") {
  const std::string rest =
      "127.0.0.1 localhost\r\n\n# comment # tc-hostnet L1\n\0\xff x\n  "
      "9.9.9.9 a # tc-hostnet L11\n9.9.9.9 a # tc-hostnet L\nlast";
  const auto ours = alias_line(kAlias, kAddress, "L1");
  CHECK(without_alias(rest, "L1") == rest);
  CHECK(without_alias(ours + rest, "L1") == rest);
  CHECK(without_alias(ours + ours + rest, "L1") == rest);
  CHECK(without_alias("1.1.1.1 a # tc-hostnet L1\r\nlast", "L1") == "last");
  CHECK(without_alias("1.1.1.1 a # tc-hostnet L1", "L1").empty());
  CHECK(without_alias("", "L1").empty());
  CHECK(without_alias(rest, "") == rest);
}

TEST_CASE("adding then removing restores any file") {
  std::mt19937 random(7);  // the same texts at every run
  const std::vector<std::string> pieces{
      "\n",      "\r\n", " ",         "\t",         "#",   "# tc-hostnet L2",
      "1.2.3.4", kAlias, "x.example", "tc-hostnet", "::1", std::string(1, '\0'),
      "\xff"};
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (auto n = random() % 20; n > 0; --n) text += pieces[random() % pieces.size()];
    const auto added = with_alias(text, kAlias, kAddress, "L1");
    CHECK(defines(added, kAlias));
    CHECK(foreign_definition(added, kAlias) == foreign_definition(text, kAlias));
    const bool whole = text.empty() || text.back() == '\n';
    CHECK(without_alias(added, "L1") == (whole ? text : text + "\n"));
  }
}

TEST_CASE("another definition of the name") {
  const auto others = [](const char* hosts) {
    return hostnet::engine::definition_by_others(hosts, "host.example", "mine");
  };
  CHECK_FALSE(others(""));
  CHECK_FALSE(others("10.0.0.1\thost.example # tc-hostnet mine\n"));
  const auto lease = others("10.0.0.1\thost.example # tc-hostnet other\n");
  REQUIRE(lease);
  CHECK((lease->address == "10.0.0.1" && lease->lease == "other"));
  const auto user = others("10.0.0.1\thost.example # tc-hostnet other\n10.0.0.2 host.example\n");
  REQUIRE(user);
  CHECK((user->address == "10.0.0.2" && user->lease.empty()));
}

TEST_CASE("a lease's line beside that of another is no other definition") {
  const std::vector<std::string> beside{"sibling"};
  const auto others = [&](const char* hosts) {
    return hostnet::engine::definition_by_others(hosts, "host.example", "mine", beside);
  };
  CHECK_FALSE(others("10.0.0.1\thost.example # tc-hostnet sibling\n"));
  const auto third =
      others("10.0.0.1\thost.example # tc-hostnet sibling\n10.0.0.2\thost.example # tc-hostnet third\n");
  REQUIRE(third);
  CHECK(third->lease == "third");
  const auto user = others("10.0.0.1\thost.example # tc-hostnet sibling\n10.0.0.3 host.example\n");
  REQUIRE(user);
  CHECK(user->address == "10.0.0.3");
}

TEST_CASE("a line of ours that the engine has left without its comment is marked again") {
  const auto marked = [](const char* hosts) {
    return hostnet::engine::with_marks(hosts, "host.example", Ip::parse("10.0.0.1").value(), "mine");
  };
  CHECK(marked("10.0.0.1\thost.example\n") == "10.0.0.1\thost.example # tc-hostnet mine\n");
  for (const char* const other :
       {"", "10.0.0.2\thost.example\n", "10.0.0.1\thost.example # by hand\n", "10.0.0.1\thost.example\tdb\n",
        "10.0.0.1\thost.example # tc-hostnet other\n"})
    CHECK(marked(other) == other);
  const std::vector<std::string> beside{"10.0.0.1"};
  const auto others = [&](const char* hosts) {
    return hostnet::engine::definition_by_others(hosts, "host.example", "mine", beside);
  };
  CHECK_FALSE(others("10.0.0.1\thost.example\n"));
  CHECK(others("10.0.0.1\thost.example # by hand\n"));
  CHECK(others("10.0.0.2\thost.example\n"));
}
