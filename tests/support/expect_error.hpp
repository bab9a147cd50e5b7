// For a call that must fail with a hostnet::Error: returns the error, so that the test can check all of it.
#pragma once

#include "hostnet/error.hpp"

#include <stdexcept>

namespace test {

template <class Function>
hostnet::Error error_of(Function function) {
  try {
    function();
  } catch (const hostnet::Error& error) {
    return error;
  }
  throw std::logic_error("the call was expected to fail and succeeded");
}

/// Returns only the code.
template <class Function>
hostnet::Errc code_of(Function function) {
  return error_of(function).code();
}

}  // namespace test
