// What stands behind an Exposure, whatever path made it.
#pragma once

#include "hostnet/exposure.hpp"

#include <string>
#include <vector>

namespace hostnet {

/// One lease of this process. Thread-safe. Destroyed by the last Exposure that shows it, after release().
class Exposure::Impl {
 public:
  virtual ~Impl() = default;
  /// As Exposure::release().
  virtual void release() = 0;
  [[nodiscard]] virtual ExposureState state() const = 0;
  [[nodiscard]] virtual std::string reason() const = 0;

  std::string id;
  Path via = Path::native;
  std::vector<HostPort> ports;
  std::string gateway;
  std::string interface;
};

}  // namespace hostnet
