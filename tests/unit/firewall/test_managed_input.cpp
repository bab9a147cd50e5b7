// The script for iptables-nft-restore, from the output of iptables-nft-save.
#include "firewall/managed_input.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace hostnet;
using namespace hostnet::firewall;

namespace {

TablePlan input_plan() {
  const std::vector<Guard> guards{{"br0", {Ipv4{0x0a000001}}}};
  return plan(guards, {}).of(Table::filter);
}

constexpr const char* kFresh = "*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n";
constexpr const char* kJump =
    "-A INPUT -d 127.0.0.0/8 -i br0 -m comment --comment \"tc-hostnet:br0\" -j TCHN-IN\n";
constexpr const char* kRules =
    "-A TCHN-IN -m conntrack --ctstatus EXPECTED -m comment --comment \"tc-hostnet:guard\" -j DROP\n"
    "-A TCHN-IN -i br0 -m conntrack --ctstate DNAT --ctorigdst 10.0.0.1 -m comment --comment "
    "\"tc-hostnet:br0\" -j "
    "ACCEPT\n-A TCHN-IN -m conntrack --ctdir REPLY -m comment --comment \"tc-hostnet:guard\" -j RETURN\n"
    "-A TCHN-IN -m comment --comment \"tc-hostnet:guard\" -j DROP\n";

}  // namespace

TEST_CASE("our chain and its jump are inserted at the head, in one transaction") {
  const auto script = restore_script(input_plan(), kFresh);
  REQUIRE(script);
  CHECK(*script ==
        std::string("*filter\n:TCHN-IN - [0:0]\n") + kRules +
            "-I INPUT 1 -d 127.0.0.0/8 -i br0 -m comment --comment \"tc-hostnet:br0\" -j TCHN-IN\nCOMMIT\n");
}

TEST_CASE("a chain that matches the plan is left alone") {
  const auto saved =
      std::string("*filter\n:INPUT DROP [3:180]\n:TCHN-IN - [0:0]\n") + kJump + kRules + "COMMIT\n";
  CHECK_FALSE(restore_script(input_plan(), saved));
  CHECK_FALSE(restore_script(TablePlan{Table::filter, "TCHN-IN", "INPUT", {}, {}}, kFresh));
}

TEST_CASE("a jump that is missing, doubled or of a bridge that is gone is put right") {
  const std::string head = "*filter\n:INPUT DROP [0:0]\n:TCHN-IN - [0:0]\n";
  const std::string stale =
      "-A INPUT -d 127.0.0.0/8 -i br9 -m comment --comment \"tc-hostnet:br9\" -j TCHN-IN\n";
  for (const auto& jumps : {std::string(), std::string(kJump) + kJump, stale, stale + kJump}) {
    CAPTURE(jumps);
    const auto script = restore_script(input_plan(), head + jumps + kRules + "COMMIT\n");
    REQUIRE(script);
    std::size_t removed = 0;
    for (auto at = script->find("-D INPUT "); at != std::string::npos; at = script->find("-D INPUT ", at + 1))
      ++removed;
    CHECK(removed == static_cast<std::size_t>(std::ranges::count(jumps, '\n')));
    CHECK(script->find("-I INPUT 1 -d 127.0.0.0/8 -i br0") != std::string::npos);
  }
}

TEST_CASE("the previous version's chain, which accepted expected connections, is replaced") {
  std::string rules = kRules;
  const std::string saved = std::string("*filter\n:INPUT DROP [3:180]\n:TCHN-IN - [0:0]\n") + kJump +
                            rules.erase(0, rules.find('\n') + 1) + "COMMIT\n";
  const auto script = restore_script(input_plan(), saved);
  REQUIRE(script);
  CHECK(script->find(std::string(":TCHN-IN - [0:0]\n") + kRules) != std::string::npos);
}

TEST_CASE("an empty plan removes jump and chain") {
  const auto saved =
      std::string("*filter\n:INPUT DROP [0:0]\n:TCHN-IN - [0:0]\n") + kJump + kRules + "COMMIT\n";
  const auto script = restore_script(TablePlan{Table::filter, "TCHN-IN", "INPUT", {}, {}}, saved);
  REQUIRE(script);
  CHECK(*script ==
        "*filter\n:TCHN-IN - [0:0]\n-D INPUT -d 127.0.0.0/8 -i br0 -m comment --comment \"tc-hostnet:br0\" "
        "-j TCHN-IN\n-X TCHN-IN\nCOMMIT\n");
}

TEST_CASE("a flushed chain with its jump intact is refilled") {
  const auto saved = std::string("*filter\n:INPUT DROP [0:0]\n:TCHN-IN - [0:0]\n") + kJump + "COMMIT\n";
  const auto script = restore_script(input_plan(), saved);
  REQUIRE(script);
  CHECK(script->find("-A TCHN-IN -i br0") != std::string::npos);
  CHECK(script->find("-D INPUT") != std::string::npos);
  CHECK(script->find("-I INPUT 1") != std::string::npos);
}
