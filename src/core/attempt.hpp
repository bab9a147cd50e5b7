// For what takes several steps down, each of which is done whatever became of the others.
#pragma once

#include <exception>
#include <string>
#include <vector>

namespace hostnet {

/// Runs a step; what it throws is one of the `failures` then.
template <class Step>
void attempt(std::vector<std::string>& failures, Step step) noexcept {
  try {
    step();
  } catch (const std::exception& error) {
    failures.emplace_back(error.what());
  }
}

}  // namespace hostnet
