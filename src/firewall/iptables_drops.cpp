// Compares iptables' rules with a packet, from the output of iptables-save.
#include "core/strings.hpp"
#include "firewall/chain_walk.hpp"
#include "firewall/drops.hpp"
#include "firewall/iptables_save.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace hostnet::firewall {
namespace {

constexpr std::string_view kOurChains = "TCHN-";

std::optional<Prefix> parse_prefix(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = Ipv4::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  if (slash == std::string_view::npos) return Prefix{*address, 32};
  const auto length = parse_number(text.substr(slash + 1), 32);
  if (!length) return std::nullopt;  // a netmask with gaps
  return Prefix{*address, static_cast<unsigned>(*length)};
}

Truth is_port_text(std::optional<std::uint16_t> value, std::string_view text) {
  Truth any = Truth::no;
  for (const auto one : split(text, ',')) {
    const auto colon = one.find(':');
    const auto from = parse_number(one.substr(0, colon), 0xffff);
    const auto to = colon == std::string_view::npos ? from : parse_number(one.substr(colon + 1), 0xffff);
    if (!from || !to) return Truth::maybe;
    any = either(any, is_port_within(value, *from, *to));
  }
  return any;
}

// Of "SYN,ACK", "NONE"; nullopt for an unknown one.
std::optional<std::uint64_t> flag_list(std::string_view text) {
  std::uint64_t all = 0;
  if (text == "NONE") return all;
  for (const auto one : split(text, ',')) {
    const auto bit = parse_tcp_flag(one);
    if (!bit) return std::nullopt;
    all |= *bit;
  }
  return all;
}

Truth is_state(const Packet& packet, std::string_view text) {
  if (!packet.tracked) return Truth::maybe;
  Truth any = Truth::no;
  for (const auto one : split(text, ',')) {
    const bool is = one == (packet.answer ? "ESTABLISHED" : "NEW") || (one == "DNAT" && packet.dnat);
    any = either(any, is ? Truth::yes : Truth::no);
  }
  return any;
}

// Reads the words of one rule.
class RuleWords {
 public:
  RuleWords(const std::vector<std::string>& words, const Packet& packet) : words_(words), packet_(packet) {
    while (at_ < words_.size()) option();
  }
  [[nodiscard]] Truth matches() const { return matches_; }
  [[nodiscard]] const std::string& target() const { return target_; }
  [[nodiscard]] bool goes_to() const { return goes_to_; }

 private:
  std::string_view value() {
    return at_ < words_.size() ? std::string_view(words_[at_++]) : std::string_view();
  }
  void require(Truth truth) {
    matches_ = both(matches_, negated_ ? negation(truth) : truth);
    negated_ = false;
  }
  void require_prefix(const Prefix& is, std::string_view text) {
    const auto wanted = parse_prefix(text);
    require(wanted ? is_within(is, *wanted) : Truth::maybe);
  }

  void option() {
    const auto& word = words_[at_++];
    if (word == "!") {
      negated_ = true;
    } else if (word == "-j" || word == "-g") {
      goes_to_ = word == "-g";
      target_ = value();
      at_ = words_.size();  // options of the target follow
    } else if (word == "-m") {
      module_ = value();
      // A match without an option that is read below, or with one, decides by something else.
      constexpr std::array known{"tcp", "udp", "comment", "conntrack", "state", "multiport", "addrtype"};
      if (std::ranges::find(known, module_) == known.end()) require(Truth::maybe);
    } else if (word == "-s") {
      require_prefix(packet_.source, value());
    } else if (word == "-d") {
      require_prefix(packet_.destination, value());
    } else if (word == "-i") {
      require(is_interface(packet_.has_in, packet_.in, value()));
    } else if (word == "-o") {
      require(is_interface(packet_.has_out, packet_.out, value()));
    } else if (word == "-p") {
      const auto protocol = value();
      require(protocol == to_string(packet_.protocol) || protocol == "all" ? Truth::yes : Truth::no);
    } else if (word == "--dport" || word == "--dports") {
      require(is_port_text(packet_.destination_port, value()));
    } else if (word == "--sport" || word == "--sports") {
      require(is_port_text(packet_.source_port, value()));
    } else if (word == "--ports") {
      const auto ports = value();
      require(
          either(is_port_text(packet_.source_port, ports), is_port_text(packet_.destination_port, ports)));
    } else if (word == "--comment") {
      value();
    } else if (word == "--tcp-flags") {
      const auto mask = flag_list(value());
      const auto set = flag_list(value());
      require(!mask || !set ? Truth::maybe : (packet_.tcp_flags() & *mask) == *set ? Truth::yes : Truth::no);
    } else if (word == "--ctstate" || word == "--state") {
      require(is_state(packet_, value()));
    } else if (word == "--ctdir") {
      require(!packet_.tracked                         ? Truth::maybe
              : packet_.answer == (value() == "REPLY") ? Truth::yes
                                                       : Truth::no);
    } else if (word == "--ctstatus") {
      require(value() == "EXPECTED" ? Truth::no : Truth::maybe);
    } else if (word == "--ctorigdst") {
      const auto wanted = value();
      if (packet_.original_destination)
        require_prefix({*packet_.original_destination, 32}, wanted);
      else
        require(Truth::maybe);
    } else if (word == "--dst-type") {
      const auto types = split(value(), ',');
      const auto type = packet_.to_host.value_or(false) ? "LOCAL" : "UNICAST";
      require(std::ranges::find(types, type) != types.end() ? Truth::yes : Truth::no);
    } else if (word.starts_with("-")) {
      require(Truth::maybe);
    }
  }

  const std::vector<std::string>& words_;
  const Packet& packet_;
  std::size_t at_ = 0;
  std::string module_;
  bool negated_ = false;
  Truth matches_ = Truth::yes;
  std::string target_;
  bool goes_to_ = false;
};

std::vector<JudgedRule> judged(const SavedTable& table, const std::string& name, const Packet& packet) {
  std::vector<JudgedRule> out;
  const auto chain = table.chains.find(name);
  if (chain == table.chains.end()) return out;
  std::size_t number = 0;
  for (const auto& words : chain->second.rules) {
    ++number;
    const RuleWords rule(words, packet);
    const auto& target = rule.target();
    // Another program decides: one that reads the queue, or a proxy.
    const bool queued = target == "NFQUEUE" || target == "QUEUE" || target == "TPROXY";
    const bool elsewhere = queued || target == "SYNPROXY";
    const auto act = target == "ACCEPT" || target == "SYNPROXY"         ? Act::accept
                     : target == "DROP" || target == "TARPIT" || queued ? Act::drop
                     : target == "REJECT"                               ? Act::reject
                     : target == "RETURN"                               ? Act::leave
                     : !table.chains.contains(target)                   ? Act::go_on
                     : rule.goes_to()                                   ? Act::go_to
                                                                        : Act::jump;
    out.push_back({elsewhere ? both(rule.matches(), Truth::maybe) : rule.matches(), act, target, number});
  }
  return out;
}

// Priorities of iptables' tables, linux/netfilter_ipv4.h.
int priority_of(std::string_view table, Hook hook) {
  if (table == "raw") return -300;
  if (table == "mangle") return -150;
  if (table == "nat") return hook == Hook::prerouting || hook == Hook::output ? -100 : 100;
  return table == "security" ? 50 : 0;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : " ") + shell_word(word);
  return out;
}

std::string cidr_of(const Prefix& prefix) {
  return fmt::format("{}/{}", prefix.address.to_string(), prefix.length);
}

std::string accept_words(const Packet& packet) {
  std::string out;
  if (!packet.in.empty()) out += fmt::format(" -i {}", shell_word(packet.in));
  if (!packet.out.empty()) out += fmt::format(" -o {}", shell_word(packet.out));
  if (packet.dnat) return out + " -m conntrack --ctstate DNAT -j ACCEPT";
  if (packet.source.length > 0) out += fmt::format(" -s {}", cidr_of(packet.source));
  if (packet.destination.length > 0) out += fmt::format(" -d {}", cidr_of(packet.destination));
  out += fmt::format(" -p {}", to_string(packet.protocol));
  if (packet.source_port) out += fmt::format(" --sport {}", *packet.source_port);
  if (packet.destination_port) out += fmt::format(" --dport {}", *packet.destination_port);
  return out + " -j ACCEPT";
}

}  // namespace

std::vector<PlacedDrop> iptables_drops(std::string_view saved, std::string_view program,
                                       const Passage& passage) {
  std::vector<PlacedDrop> out;
  for (const auto& table : parse_saved(saved)) {
    for (const auto& [name, chain] : table.chains) {
      const auto hook = chain.policy == "-" ? std::nullopt : parse_hook(name);
      if (!hook) continue;
      const auto priority = priority_of(table.name, *hook);
      const auto packet = packet_at(passage, Layer::ip, *hook, priority);
      if (!packet) continue;
      const auto& rules_of = table;
      const auto& seen = *packet;
      const auto hit = walk_chain(name, chain.policy == "DROP",
                                  [&](const std::string& wanted) { return judged(rules_of, wanted, seen); });
      if (!hit || hit->chain.starts_with(kOurChains)) continue;
      const auto in_table = table.name == "filter" ? "" : fmt::format(" -t {}", table.name);
      Drop drop{.certain = hit->certain,
                .rejects = hit->rejects,
                .before_ours = table.name == "filter" && *hook == Hook::input};
      if (hit->by_policy) {
        drop.what = fmt::format("the policy of chain {} in {}'s table {}", hit->chain, program, table.name);
        drop.remedy =
            fmt::format("{}{} -I {}{}", program, in_table, shell_word(hit->chain), accept_words(seen));
      } else {
        const auto& rule = table.chains.find(hit->chain)->second.rules[hit->index - 1];
        drop.what = fmt::format("rule {} of chain {} in {}'s table {} ({})", hit->index, hit->chain, program,
                                table.name, joined(rule));
        drop.remedy = fmt::format("{}{} -I {} {}{}", program, in_table, shell_word(hit->chain), hit->index,
                                  accept_words(seen));
      }
      out.push_back({place_of(Layer::ip, *hook), priority, std::move(drop)});
    }
  }
  return out;
}

}  // namespace hostnet::firewall
