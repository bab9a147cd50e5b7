// Jumps, returns and verdicts.
#include "firewall/chain_walk.hpp"

namespace hostnet::firewall {
namespace {

constexpr int kDepth = 16;  // the kernel allows no more jumps in a row
// Chains that jump to each other twice are entered 2^16 times. No firewall in use comes near this limit.
constexpr int kEntered = 20'000;

class Walk {
 public:
  explicit Walk(const ChainReader& rules) : rules_(rules) {}

  // Whether the packet leaves the chain undecided. `reach`: whether it surely gets there (never no).
  Truth follow(const std::string& chain, Truth reach, int depth) {
    if (depth > kDepth || ++entered_ > kEntered) return Truth::maybe;
    bool may_be_decided = false;
    bool may_have_left = false;
    for (const auto& rule : rules_(chain)) {
      if (rule.matches == Truth::no || rule.act == Act::go_on) continue;
      const bool surely = rule.matches == Truth::yes;
      const Truth here = reach == Truth::yes && !may_be_decided && !may_have_left ? Truth::yes : Truth::maybe;
      const Truth decided = may_have_left ? Truth::maybe : Truth::no;
      switch (rule.act) {
        case Act::accept:
          if (surely) return decided;
          may_be_decided = true;
          break;
        case Act::drop:
        case Act::reject:
          note({both(here, rule.matches) == Truth::yes, rule.act == Act::reject, false, chain, rule.index});
          if (surely) return decided;
          break;
        case Act::leave:
          if (surely) return may_be_decided ? Truth::maybe : Truth::yes;
          may_have_left = true;
          break;
        case Act::jump:
        case Act::go_to: {
          const auto back = follow(rule.target, both(here, rule.matches), depth + 1);
          if (surely && back == Truth::no) return decided;
          if (back != Truth::yes) may_be_decided = true;
          if (rule.act == Act::jump) break;
          if (surely) return may_be_decided ? Truth::maybe : Truth::yes;
          may_have_left = true;
          break;
        }
        case Act::go_on:
          break;
      }
    }
    return may_be_decided ? Truth::maybe : Truth::yes;
  }

  void note(Hit hit) {
    auto& place = hit.certain ? certain_ : possible_;
    if (!place) place = std::move(hit);
  }
  [[nodiscard]] std::optional<Hit> result() const { return certain_ ? certain_ : possible_; }

 private:
  const ChainReader& rules_;
  int entered_ = 0;
  std::optional<Hit> certain_;
  std::optional<Hit> possible_;
};

}  // namespace

std::optional<Hit> walk_chain(const std::string& chain, bool drop_policy, const ChainReader& rules) {
  Walk walk(rules);
  const auto undecided = walk.follow(chain, Truth::yes, 0);
  if (drop_policy && undecided != Truth::no) walk.note({undecided == Truth::yes, false, true, chain, 0});
  return walk.result();
}

}  // namespace hostnet::firewall
