// `tc-hostnet list`: shows the leases of this network namespace, of the helper, and of this user on the ssh
// path.
#include "cli/command.hpp"
#include "cli/held.hpp"
#include "cli/helper_view.hpp"
#include "cli/lease_view.hpp"
#include "cli/output.hpp"
#include "cli/tunnel_view.hpp"

namespace hostnet::cli {

Action define_list(Arguments& arguments) {
  arguments.footer(
      "Releases the leases of dead owners first. With --json, prints one object per lease and line.");
  return [](const Globals& globals) {
    auto store = open_store(globals);
    const state::TunnelStore tunnel_store(globals.runtime_dir);
    const auto tunnels = look_at_tunnels(tunnel_store, globals);
    const auto helped = look_at_helper();
    const auto held = look_beside(store, globals, !tunnels.empty() || !helped.empty());
    if (globals.json) {
      for (const auto& lease : held.leases) print_json(to_json(lease, held));
      for (const auto& lease : helped) print_json(to_json(lease));
      for (const auto& tunnel : tunnels) print_json(to_json(tunnel));
    } else {
      auto rows = list_rows(held);
      for (const auto& lease : helped) rows.push_back(row_of(lease));
      for (const auto& tunnel : tunnels) rows.push_back(row_of(tunnel));
      print(table(rows));
    }
    return 0;
  };
}

}  // namespace hostnet::cli
