// Prints plans.
#include "cli/dry_run.hpp"

#include "cli/output.hpp"
#include "path/select.hpp"

#include <utility>

namespace hostnet::cli {

int dry_run(const ExposeRequest& request, const exposer::PathOrder& wanted, const ExposerOptions& options,
            const Globals& globals) {
  return print_dry_run(exposer::dry_run(exposer::paths(), wanted, request, options), globals);
}

int print_dry_run(exposer::DryRun plan, const Globals& globals) {
  if (globals.json) {
    print_json(std::move(plan.object));
    return 0;
  }
  for (const auto& line : plan.lines) print(line);
  return 0;
}

}  // namespace hostnet::cli
