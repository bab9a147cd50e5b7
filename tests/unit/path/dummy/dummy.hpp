// The smallest possible path. It shows that a new path needs only a folder and a row. The tests of the path
// table use it; they contain nothing else made for it.
#pragma once

#include "hostnet/exposer.hpp"
#include "path/path.hpp"

#include <optional>
#include <string>
#include <vector>

namespace test {

/// What the dummy meets and does. Drivers have no state, so there is one for the program.
struct DummyWorld {
  std::optional<std::string> unusable;    ///< What its probe says.
  std::optional<hostnet::Error> refusal;  ///< What expose_all() throws.
  int opened = 0;                         ///< Leases made.
  int taken_down = 0;                     ///< Leases ended, in whatever way.
  std::vector<std::string> cleared;       ///< Records cleared away.
};
DummyWorld& dummy_world();

/// Ends a lease of the dummy as failed, as if what it stands on were lost.
void lose(const hostnet::Exposure& exposure, const std::string& reason);

extern const hostnet::exposer::PathDriver kDummyPath;

/// Another row: the dummy under another name, always usable, and willing.
hostnet::exposer::PathDriver other_path(const char* name);

}  // namespace test
