// What doctor's tests say of a fact: that it was seen, or that it may not be.
#pragma once

#include "cli/doctor/facts.hpp"
#include "hostnet/error.hpp"

#include <cerrno>
#include <optional>
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

}  // namespace test
