// Collects the failures of releases and removals, which run every step even when one fails.
#pragma once

#include "hostnet/error.hpp"

#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hostnet {

/// Texts of failures in order of arrival. Not thread-safe.
class Failures {
 public:
  /// Runs a step and adds the text of its exception, after "WHAT: " unless `what` is empty.
  template <class Work>
  void run(Work work, std::string_view what = {}) noexcept {
    try {
      work();
    } catch (const std::exception& error) {
      add(prefix(what) + error.what());
    } catch (...) {
      add(prefix(what) + "an exception of unknown type");
    }
  }
  void add(std::string failure) { texts_.push_back(std::move(failure)); }
  void add(Failures others) {
    for (auto& text : others.texts_) add(std::move(text));
  }

  /// Does nothing without failures. @throws Error{failure} "WHAT: FIRST; SECOND", without an empty WHAT.
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
  static std::string prefix(std::string_view what) { return what.empty() ? "" : std::string(what) + ": "; }

  std::vector<std::string> texts_;
};

}  // namespace hostnet
