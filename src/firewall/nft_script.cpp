// Writes the commands from the current state to the plan.
#include "firewall/nft_script.hpp"

#include "core/join.hpp"
#include "firewall/nft_shape.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace hostnet::firewall::nft {
namespace {

std::size_t index_of(Table table) { return static_cast<std::size_t>(table); }

std::string quoted(const std::string& name) { return '"' + name + '"'; }

// The index of a forward's map: from the narrowest to the widest, as in shape_of(Table::nat).
std::size_t map_of(const Rule& rule) {
  if (rule.source && rule.source_mac) return rule.protocol == Protocol::tcp ? 0 : 1;
  return rule.source ? 2 : rule.source_mac ? 3 : 4;
}

std::string key_of(const Rule& rule) {
  const auto gateway = rule.destination->address.to_string();
  const auto protocol = static_cast<unsigned>(*rule.protocol);
  switch (map_of(rule)) {
    case 0:
    case 1:
      return fmt::format("\"{}\" . {} . {} . {} . {}", rule.in, rule.source_mac->to_string(),
                         rule.source->address.to_string(), gateway, rule.destination_port);
    case 2:
      return fmt::format("\"{}\" . {} . {} . {} . {}", rule.in, rule.source->address.to_string(), gateway,
                         protocol, rule.destination_port);
    case 3:
      return fmt::format("\"{}\" . {} . {} . {} . {}", rule.in, rule.source_mac->to_string(), gateway,
                         protocol, rule.destination_port);
    default:
      return fmt::format("\"{}\" . {} . {} . {}", rule.in, gateway, protocol, rule.destination_port);
  }
}

std::vector<Elements> elements_of(const TablePlan& plan) {
  std::vector<Elements> sets(shape_of(plan.table).sets.size());
  if (plan.table == Table::nat) {
    for (const auto& rule : plan.rules)
      sets[map_of(rule)].emplace(key_of(rule),
                                 fmt::format(" comment \"{}\" : {} . {}", rule.comment,
                                             rule.verdict.to.address.to_string(), rule.verdict.to.port));
    return sets;
  }
  for (const auto& jump : plan.jumps) sets[0].emplace(quoted(jump.in.empty() ? jump.out : jump.in), "");
  if (plan.table != Table::filter) return sets;
  for (const auto& rule : plan.rules)
    if (rule.verdict.kind == Verdict::Kind::accept)
      sets[1].emplace(
          fmt::format("{} . {}", quoted(rule.in), rule.dnat_state->original_destination->to_string()), "");
  return sets;
}

// Collects the commands of one transaction.
class Script {
 public:
  void add_table() { text_ += fmt::format("add table ip {}\n", kTableName); }
  void delete_table() { text_ += fmt::format("delete table ip {}\n", kTableName); }

  void add_set(const SetShape& shape) {
    fmt::format_to(out(), "add {} ip {} {} {{ type {}", kind(shape.is_map()), kTableName, shape.name,
                   join(shape.key, " . "));
    if (shape.is_map()) fmt::format_to(out(), " : {}; counter", join(shape.leads_to, " . "));
    text_ += "; }\n";
  }
  void delete_set(std::string_view name, bool is_map) {
    fmt::format_to(out(), "delete {} ip {} {}\n", kind(is_map), kTableName, name);
  }

  void add_chain(const PartShape& shape) {
    fmt::format_to(out(), "add chain ip {} {} {{ type {} hook {} priority {}; policy accept; }}\n",
                   kTableName, shape.chain, shape.type, shape.hook, shape.priority);
  }
  void add_rules(const PartShape& shape) {
    for (const auto& rule : shape.rules)
      fmt::format_to(out(), "add rule ip {} {} {} comment \"{}\"\n", kTableName, shape.chain, rule.text,
                     kRuleComment);
  }
  void flush_chain(std::string_view name) {
    fmt::format_to(out(), "flush chain ip {} {}\n", kTableName, name);
  }
  void delete_chain(std::string_view name) {
    flush_chain(name);
    fmt::format_to(out(), "delete chain ip {} {}\n", kTableName, name);
  }

  void add_elements(std::string_view set, const std::vector<const Elements::value_type*>& elements) {
    begin_elements("add", set, elements.empty());
    for (const auto* const element : elements) put(element->first, element->second);
    end_elements();
  }
  void delete_elements(std::string_view set, const std::vector<const Elements::value_type*>& elements) {
    begin_elements("delete", set, elements.empty());
    for (const auto* const element : elements) put(element->first, {});
    end_elements();
  }

  std::string take() { return std::move(text_); }

 private:
  static const char* kind(bool is_map) { return is_map ? "map" : "set"; }
  std::back_insert_iterator<std::string> out() { return std::back_inserter(text_); }

  void begin_elements(const char* verb, std::string_view set, bool none) {
    open_ = !none;
    first_ = true;
    if (open_) fmt::format_to(out(), "{} element ip {} {} {{ ", verb, kTableName, set);
  }
  void put(const std::string& key, std::string_view rest) {
    if (!first_) text_ += ",\n  ";
    first_ = false;
    text_.append(key).append(rest);
  }
  void end_elements() {
    if (open_) text_ += " }\n";
  }

  std::string text_;
  bool open_ = false;
  bool first_ = true;
};

struct Difference {
  std::vector<const Elements::value_type*> surplus;
  std::vector<const Elements::value_type*> lacking;
};

Difference difference(const Elements& there, const Elements& wanted) {
  Difference out;
  for (const auto& element : there) {
    const auto found = wanted.find(element.first);
    if (found == wanted.end() || found->second != element.second) out.surplus.push_back(&element);
  }
  for (const auto& element : wanted) {
    const auto found = there.find(element.first);
    if (found == there.end() || found->second != element.second) out.lacking.push_back(&element);
  }
  return out;
}

void take_out(Script& script, const PartShape& shape, const PartState& part) {
  if (part.chain_there) script.delete_chain(shape.chain);
  for (std::size_t i = 0; i < part.sets.size(); ++i)
    if (part.sets[i].there) script.delete_set(shape.sets[i].name, part.sets[i].is_map);
}

PartState nothing_of(const PartShape& shape) {
  PartState part;
  part.sets.resize(shape.sets.size());
  return part;
}

void put_in_chain(Script& script, const PartShape& shape, const PartState& part) {
  if (part.chain_right) return;
  if (part.chain_hooked) {
    script.flush_chain(shape.chain);
  } else {
    if (part.chain_there) script.delete_chain(shape.chain);
    script.add_chain(shape);
  }
  script.add_rules(shape);
}

PartState put_in(Script& script, const PartShape& shape, const PartState& part,
                 std::vector<Elements> wanted) {
  // A set of the wrong type cannot be changed, nor deleted while the chain's rules refer to it.
  const bool rebuild =
      std::ranges::any_of(part.sets, [](const SetState& set) { return set.there && !set.right; });
  if (rebuild) take_out(script, shape, part);
  PartState after;
  for (std::size_t i = 0; i < part.sets.size(); ++i) {
    static const Elements none;
    const bool keep = part.sets[i].there && !rebuild;
    if (!keep) script.add_set(shape.sets[i]);
    const auto [surplus, lacking] = difference(keep ? part.sets[i].elements : none, wanted[i]);
    script.delete_elements(shape.sets[i].name, surplus);
    script.add_elements(shape.sets[i].name, lacking);
    after.sets.push_back(
        {.there = true, .is_map = shape.sets[i].is_map(), .right = true, .elements = std::move(wanted[i])});
  }
  put_in_chain(script, shape, rebuild ? PartState() : part);
  after.chain_there = after.chain_hooked = after.chain_right = true;
  return after;
}

}  // namespace

bool PartState::gone() const {
  return !chain_there && std::ranges::none_of(sets, [](const SetState& set) { return set.there; });
}

State::State() {
  for (const auto table : kTables) parts[index_of(table)].sets.resize(shape_of(table).sets.size());
}

Change change_to(const TablePlan& plan, const State& state) {
  Script script;
  const auto& shape = shape_of(plan.table);
  const auto& part = state.parts[index_of(plan.table)];
  Change change;
  if (!plan.empty()) {
    if (!state.table_there) script.add_table();
    change.part = put_in(script, shape, part, elements_of(plan));
    change.table_there = true;
  } else if (state.table_there) {
    const bool is_last = std::ranges::all_of(
        state.parts, [&](const PartState& other) { return &other == &part || other.gone(); });
    if (is_last)
      script.delete_table();
    else
      take_out(script, shape, part);
    change.part = nothing_of(shape);
    change.table_there = !is_last;
  } else {
    change.part = nothing_of(shape);
  }
  change.commands = script.take();
  return change;
}

Change change_between(const TablePlan& from, const TablePlan& to) {
  const auto& shape = shape_of(from.table);
  Change change;
  change.table_there = true;
  change.gone = elements_of(from);
  change.come = elements_of(to);
  Script script;
  for (std::size_t i = 0; i < shape.sets.size(); ++i) {
    const auto [surplus, lacking] = difference(change.gone[i], change.come[i]);
    script.delete_elements(shape.sets[i].name, surplus);
    script.add_elements(shape.sets[i].name, lacking);
  }
  change.commands = script.take();
  return change;
}

void note(State& state, Table table, Change change) {
  state.table_there = change.table_there;
  auto& part = state.parts[index_of(table)];
  if (change.part) {
    part = std::move(*change.part);
    return;
  }
  for (std::size_t i = 0; i < part.sets.size(); ++i) {
    auto& elements = part.sets[i].elements;
    for (const auto& [key, rest] : change.gone[i]) elements.erase(key);
    elements.merge(change.come[i]);
  }
}

std::string to_nft(const TablePlan& plan) { return change_to(plan, State()).commands; }

std::vector<std::string> guarded_bridges(const State& state) {
  std::vector<std::string> out;
  const auto& raw = state.parts[index_of(Table::raw)];
  if (!raw.chain_right || !raw.sets[0].right) return out;
  for (const auto& [key, rest] : raw.sets[0].elements) out.push_back(key.substr(1, key.size() - 2));
  std::ranges::sort(out);
  return out;
}

}  // namespace hostnet::firewall::nft
