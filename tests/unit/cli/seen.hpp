// What doctor's tests say of a fact: that it was seen, or that it may not be; and of what was found.
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
