// The networks of a compose project that cannot be served, each with its reason: warnings beside those that are served,
// and one error if none is.
#pragma once

#include "hostnet/error.hpp"

#include <string>
#include <utility>
#include <vector>

namespace hostnet::cli {

/// One line for a network that is not served.
void warn_unserved(const std::string& project, const std::string& network, const Error& error);

class Unserved {
 public:
  explicit Unserved(std::string project) : project_(std::move(project)) {}

  void add(const std::string& network, const Error& error) { reasons_.emplace_back(network, error); }
  /// Warns of each, if others are served. @throws Error if none is.
  void tell(bool others_are_served) const;
  /// The error if none is served: what all say, else each network with its reason. Pure; needs at least one.
  [[nodiscard]] Error error() const;

 private:
  std::string project_;
  std::vector<std::pair<std::string, Error>> reasons_;
};

}  // namespace hostnet::cli
