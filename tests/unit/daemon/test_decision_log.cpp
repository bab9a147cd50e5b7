// One line per decision, in which another user's text can neither end a value nor fill the journal.
#include "daemon/decision_log.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace hostnet::daemon;

namespace {

Decision refused() {
  Decision decision;
  decision.caller = ":1.9";
  decision.uid = 20003;
  decision.pid = 77;
  decision.method = "Expose";
  decision.interface = "docker0";
  decision.ports = "tcp 8088";
  decision.reason = "AccessDenied";
  return decision;
}

}  // namespace

TEST_CASE("a decision is one line of key=value, quoted where needed") {
  CHECK(line_of(refused()) ==
        "refused uid=20003 pid=77 caller=:1.9 method=Expose interface=docker0 ports=\"tcp 8088\" "
        "reason=AccessDenied");
  Decision early;
  early.granted = true;
  CHECK(line_of(early) == "granted");
}

TEST_CASE("the journal fields carry the known facts") {
  const auto fields = fields_of(refused());
  CHECK(std::string(fields.front().first) == "HOSTNET_DECISION");
  CHECK(fields.front().second == "refused");
  CHECK(std::ranges::none_of(fields, [](const auto& field) { return field.second.empty(); }));
  CHECK(fields.size() == 8);
}

TEST_CASE("a name neither forges a line or field nor moves a cursor, and is cut") {
  auto decision = refused();
  decision.interface = "a\ngranted uid=0 \" pid=1\x1b[2J";
  const auto line = line_of(decision);
  CHECK(line.find("interface=\"a\\x0agranted uid=0 ' pid=1\\x1b[2J\" ports") != std::string::npos);
  for (const auto& endless : {std::string(100'000, 'x'), std::string(100'000, '\n')}) {
    decision.interface = endless;
    const auto fields = fields_of(decision);
    const auto found = std::ranges::find_if(
        fields, [](const auto& field) { return std::string_view(field.first) == "HOSTNET_INTERFACE"; });
    REQUIRE(found != fields.end());
    CHECK(found->second.size() <= 256 + std::string_view("…").size());
    CHECK(found->second.ends_with("…"));
  }
}
