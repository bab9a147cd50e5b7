// Holds the leases of one `expose` and tells what becomes of them.
#pragma once

#include "cli/command.hpp"
#include "cli/request_options.hpp"
#include "hostnet/exposer.hpp"

#include <functional>
#include <vector>

namespace hostnet::cli {

using Requests = std::vector<ExposeRequest>;

struct ExposeOptions {
  RequestOptions request;
  bool detach = false;
  bool once = false;
};

/// Makes the leases, announces them, calls `when_ready`, and holds them until all are over. A compose project's are also
/// those for networks that it gets later, unless `words.once`. Returns the exit code, the largest of all.
/// @throws Error as Exposer::expose(), for the first ones; of a project's only if none of its networks can be served, with
/// the reason against each. A warning tells of the others.
int hold(const Requests& requests, const ExposeOptions& words, const Globals& globals,
         const std::function<void()>& when_ready);

}  // namespace hostnet::cli
