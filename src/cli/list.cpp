// `tc-hostnet list`: the leases of this network namespace.
#include "cli/command.hpp"
#include "cli/held.hpp"
#include "cli/lease_view.hpp"
#include "cli/output.hpp"

#include <nlohmann/json.hpp>

namespace hostnet::cli {

Action define_list(Arguments& arguments) {
  arguments.footer(
      "Leases whose owner has died are finished first. With --json, one object a lease and line.");
  return [](const Globals& globals) {
    auto ledger = open_ledger(globals);
    const auto held = look(ledger);
    if (globals.json) {
      for (const auto& lease : held.leases) print_json(to_json(lease, held));
    } else {
      print(to_table(held));
    }
    return 0;
  };
}

}  // namespace hostnet::cli
