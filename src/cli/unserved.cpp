// Words for networks that are not served.
#include "cli/unserved.hpp"

#include "core/log.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace hostnet::cli {

void warn_unserved(const std::string& project, const std::string& network, const Error& error) {
  log::warn("network {} of compose project {} is not served: {}", network, project, error.what());
}

void Unserved::tell(bool others_are_served) const {
  if (reasons_.empty()) return;
  if (!others_are_served) throw error();
  for (const auto& [network, error] : reasons_) warn_unserved(project_, network, error);
}

Error Unserved::error() const {
  const auto& first = reasons_.front().second;
  // What has nothing to do with a network is the same for all: a missing service, a missing right.
  const auto is_first = [&](const auto& one) { return std::string_view(one.second.what()) == first.what(); };
  if (std::ranges::all_of(reasons_, is_first)) return first;
  const auto is_alike = [&](const auto& one) { return one.second.code() == first.code(); };
  std::string text = fmt::format("no network of compose project {} can be served", project_);
  for (const auto& [network, error] : reasons_)
    text += fmt::format("{} {}: {}", &error == &first ? ":" : ";", network, error.what());
  return {std::ranges::all_of(reasons_, is_alike) ? first.code() : Errc::no_path, text, first.hint()};
}

}  // namespace hostnet::cli
