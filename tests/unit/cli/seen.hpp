// Builders for doctor's tests: facts that were seen or may not be seen, and findings.
#pragma once

#include "cli/doctor/facts.hpp"
#include "cli/doctor/judge.hpp"
#include "hostnet/error.hpp"

#include <cerrno>
#include <optional>
#include <string_view>
#include <utility>

namespace test {

template <class T>
hostnet::cli::doctor::Seen<T> seen(T value) {
  return {std::move(value), std::nullopt};
}

template <class T>
hostnet::cli::doctor::Seen<T> denied() {
  return {std::nullopt, hostnet::Error::from_errno("look", EACCES)};
}

inline bool says(const hostnet::cli::doctor::Check& check, std::string_view words) {
  return check.finding.find(words) != std::string_view::npos;
}

}  // namespace test
