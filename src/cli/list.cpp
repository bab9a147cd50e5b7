// `tc-hostnet list`: shows the leases of this network namespace, of the helper, and of this user's records.
#include "cli/command.hpp"
#include "cli/held.hpp"
#include "cli/helper_view.hpp"
#include "cli/layout.hpp"
#include "cli/lease_view.hpp"
#include "cli/output.hpp"
#include "cli/record_view.hpp"
#include "core/strings.hpp"
#include "path/native/dry_run.hpp"

#include <fmt/format.h>

namespace hostnet::cli {
namespace {

// As list_rows() heads them. What the label and the gateway say, `inspect` says too.
const std::vector<Column>& columns() {
  using Kind = Column::Kind;
  static const std::vector<Column> all{
      {Kind::whole},           {Kind::cut, 10},        {Kind::optional, 0, 6},
      {Kind::optional, 8, 7},  {Kind::optional, 0, 2}, {Kind::optional, 0, 1},
      {Kind::optional, 10, 4}, {Kind::optional, 0, 5}, {Kind::optional, 6, 3},
  };
  return all;
}

void print_list(const std::vector<Row>& rows) {
  const auto width = output_width();
  const auto fitted = fit(rows, columns(), width);
  print(fitted.text);
  if (!fitted.left_out.empty())
    say(hang("",
             fmt::format("too narrow for {}: tc-hostnet inspect LEASE shows all", list_of(fitted.left_out)),
             0, width));
}

}  // namespace

Action define_list(Arguments& arguments) {
  arguments.footer(
      "Releases the leases of dead owners first. With --json, prints one object per lease and line.");
  arguments.example("sudo tc-hostnet list");
  return [](const Globals& globals) {
    auto store = open_store(globals);
    const state::TunnelStore record_store(globals.runtime_dir);
    const auto recorded = look_at_records(record_store, globals);
    const auto helped = look_at_helper();
    const auto readable = look_if_readable(store, globals);
    const auto held = readable.value_or(state::Snapshot{});
    if (globals.json) {
      for (const auto& lease : held.leases) print_json(exposer::lease_to_json(lease, held));
      for (const auto& lease : helped) print_json(to_json(lease));
      for (const auto& lease : recorded) print_json(to_json(lease));
    } else {
      auto rows = list_rows(held);
      for (const auto& lease : helped) rows.push_back(row_of(lease));
      for (const auto& lease : recorded) rows.push_back(row_of(lease));
      print_list(rows);
    }
    if (!readable) say_hidden("list");
    return 0;
  };
}

}  // namespace hostnet::cli
