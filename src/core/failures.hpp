// The failures of work that does every step, whatever became of the others: releases and removals.
#pragma once

#include "hostnet/error.hpp"

#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hostnet {

/// In the order in which they came. Not thread-safe.
class Failures {
 public:
  /// Runs a step, and adds what it throws; after "WHAT: ", where that is given.
  template <class Step>
  void run(Step step, std::string_view what = {}) noexcept {
    try {
      step();
    } catch (const std::exception& error) {
      add(what.empty() ? std::string(error.what()) : std::string(what) + ": " + error.what());
    } catch (...) {
      add(std::string(what) + ": an exception of unknown type");
    }
  }
  void add(std::string failure) { texts_.push_back(std::move(failure)); }
  void add(Failures others) {
    for (auto& text : others.texts_) add(std::move(text));
  }

  /// Nothing if there are none. @throws Error{failure} "WHAT: FIRST; SECOND", without WHAT where that is
  /// empty.
  void raise(std::string_view what = {}, std::string hint = {}) const {
    if (texts_.empty()) return;
    std::string text(what);
    for (const auto& one : texts_) {
      if (!text.empty()) text += &one == &texts_.front() ? ": " : "; ";
      text += one;
    }
    throw Error(Errc::failure, text, std::move(hint));
  }

  [[nodiscard]] bool empty() const noexcept { return texts_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return texts_.size(); }
  [[nodiscard]] auto begin() const noexcept { return texts_.begin(); }
  [[nodiscard]] auto end() const noexcept { return texts_.end(); }

 private:
  std::vector<std::string> texts_;
};

}  // namespace hostnet
