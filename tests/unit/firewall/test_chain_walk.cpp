// Which rule of a chain drops a packet, surely or perhaps.
#include "firewall/chain_walk.hpp"

#include <doctest/doctest.h>

#include <map>

using namespace hostnet::firewall;

namespace {

using Chains = std::map<std::string, std::vector<JudgedRule>>;

std::optional<Hit> walk(const Chains& chains, bool drop_policy = false) {
  return walk_chain("base", drop_policy, [&](const std::string& name) {
    const auto found = chains.find(name);
    return found == chains.end() ? std::vector<JudgedRule>{} : found->second;
  });
}

}  // namespace

TEST_CASE("the first rule that surely matches decides") {
  CHECK_FALSE(walk({}));
  CHECK_FALSE(walk({{"base", {{Truth::yes, Act::accept}, {Truth::yes, Act::drop}}}}));
  CHECK_FALSE(walk({{"base", {{Truth::no, Act::drop}}}}));
  const auto hit = walk({{"base", {{Truth::no, Act::accept}, {Truth::yes, Act::reject, "", 7}}}});
  REQUIRE(hit);
  CHECK(hit->certain);
  CHECK(hit->rejects);
  CHECK(hit->index == 7);
}

TEST_CASE("a rule that may match leaves what follows uncertain") {
  CHECK_FALSE(walk({{"base", {{Truth::maybe, Act::drop}}}})->certain);
  CHECK_FALSE(walk({{"base", {{Truth::maybe, Act::accept}, {Truth::yes, Act::drop}}}})->certain);
  // A certain drop behind a possible one is dropped in any case: the first names itself only as possible.
  const auto both = walk({{"base", {{Truth::maybe, Act::drop, "", 1}, {Truth::yes, Act::drop, "", 2}}}});
  CHECK(both->certain);
  CHECK(both->index == 2);
}

TEST_CASE("jump returns, goto does not") {
  const std::vector<JudgedRule> empty;
  CHECK(walk({{"base", {{Truth::yes, Act::jump, "sub"}, {Truth::yes, Act::drop}}}, {"sub", empty}})->certain);
  CHECK_FALSE(walk({{"base", {{Truth::yes, Act::go_to, "sub"}, {Truth::yes, Act::drop}}}, {"sub", empty}}));
  CHECK(walk({{"base", {{Truth::yes, Act::go_to, "sub"}}}, {"sub", empty}}, true)->by_policy);
  const auto inside =
      walk({{"base", {{Truth::yes, Act::jump, "sub"}}}, {"sub", {{Truth::yes, Act::drop, "", 3}}}});
  CHECK(inside->chain == "sub");
  CHECK(inside->certain);
  CHECK_FALSE(
      walk({{"base", {{Truth::maybe, Act::jump, "sub"}}}, {"sub", {{Truth::yes, Act::drop}}}})->certain);
  CHECK_FALSE(walk({{"base", {{Truth::yes, Act::jump, "sub"}, {Truth::yes, Act::drop}}},
                    {"sub", {{Truth::yes, Act::accept}}}}));
  CHECK(walk({{"base", {{Truth::yes, Act::jump, "sub"}, {Truth::yes, Act::drop}}},
              {"sub", {{Truth::yes, Act::leave}, {Truth::yes, Act::accept}}}})
            ->certain);
}

TEST_CASE("a chain that jumps to itself ends") {
  CHECK_FALSE(walk({{"base", {{Truth::yes, Act::jump, "base"}}}}));
}

TEST_CASE("chains that jump to each other many times end, and what follows is uncertain") {
  Chains chains{{"base", {{Truth::yes, Act::jump, "c0"}, {Truth::yes, Act::drop}}}};
  for (int i = 0; i < 16; ++i) {
    const auto next = "c" + std::to_string(i + 1);
    chains["c" + std::to_string(i)] = {
        {Truth::yes, Act::jump, next}, {Truth::yes, Act::jump, next}, {Truth::yes, Act::jump, next}};
  }
  int read = 0;
  const auto hit = walk_chain("base", false, [&](const std::string& name) {
    ++read;
    return chains[name];
  });
  REQUIRE(hit);
  CHECK_FALSE(hit->certain);
  CHECK(read < 100'000);
}

TEST_CASE("a chain that may be left, or entered, or may decide") {
  // A return that may match: what follows in the chain may be skipped, and after the jump nothing is decided.
  const std::vector<JudgedRule> may_return{{Truth::maybe, Act::leave}, {Truth::yes, Act::drop, "", 1}};
  CHECK_FALSE(walk({{"base", may_return}})->certain);
  const auto behind = walk(
      {{"base", {{Truth::yes, Act::jump, "sub"}, {Truth::yes, Act::reject, "", 2}}}, {"sub", may_return}});
  REQUIRE(behind);
  CHECK_FALSE(behind->certain);
  CHECK(behind->index == 1);
  CHECK(walk({{"base", may_return}}, true)->index == 1);
  // A goto that may match: this chain may not go on.
  const Chains may_go{{"base", {{Truth::maybe, Act::go_to, "sub"}, {Truth::yes, Act::drop}}}, {"sub", {}}};
  CHECK_FALSE(walk(may_go)->certain);
  CHECK(walk({{"base", {{Truth::maybe, Act::go_to, "sub"}}}, {"sub", {}}}, true)->certain);
  // What may be accepted, and then returns, is not surely undecided.
  CHECK_FALSE(walk({{"base", {{Truth::maybe, Act::accept}, {Truth::yes, Act::leave}}}}, true)->certain);
  CHECK_FALSE(
      walk({{"base", {{Truth::maybe, Act::accept}, {Truth::yes, Act::go_to, "sub"}}}, {"sub", {}}}, true)
          ->certain);
  CHECK(walk({{"base", {{Truth::yes, Act::go_on}, {Truth::yes, Act::drop}}}})->certain);
  CHECK_FALSE(walk({{"base", {{Truth::yes, Act::jump, "sub"}, {Truth::yes, Act::drop, "", 3}}},
                    {"sub", {{Truth::maybe, Act::leave}, {Truth::yes, Act::accept}}}})
                  ->certain);
  CHECK_FALSE(walk({{"base", {{Truth::yes, Act::go_to, "sub"}, {Truth::yes, Act::drop}}},
                    {"sub", {{Truth::yes, Act::accept}}}},
                   true));
}

TEST_CASE("a policy counts for what no rule decided") {
  CHECK(walk({}, true)->certain);
  CHECK_FALSE(walk({{"base", {{Truth::maybe, Act::accept}}}}, true)->certain);
  CHECK_FALSE(walk({{"base", {{Truth::yes, Act::accept}}}}, true));
}
