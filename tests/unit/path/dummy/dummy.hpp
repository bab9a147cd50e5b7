// The smallest possible path. It shows that a new path needs only a folder and a row. The tests of the path
// table use it; they contain nothing else made for it.
#pragma once

#include "hostnet/exposer.hpp"
#include "path/path.hpp"

#include <optional>
#include <string>
#include <vector>

namespace test {

/// The dummy's behaviour and its record of calls. Drivers have no state, so the program has one.
struct DummyWorld {
  std::optional<std::string> unusable;    ///< The reason that its probe gives.
  std::optional<hostnet::Error> refusal;  ///< The error that expose_all() throws.
  int opened = 0;                         ///< Leases made.
  int taken_down = 0;                     ///< Leases ended, in any way.
  std::vector<std::string> cleared;       ///< Records removed by clear_away.
};
DummyWorld& dummy_world();

/// Ends a lease of the dummy as failed, as if its set-up were lost.
void lose(const hostnet::Exposure& exposure, const std::string& reason);

extern const hostnet::exposer::PathDriver kDummyPath;

/// Another row: the dummy under another name, always usable, without refusal.
hostnet::exposer::PathDriver other_path(const char* name);

}  // namespace test
