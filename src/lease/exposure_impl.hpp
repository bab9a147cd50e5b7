// What stands behind an Exposure, whatever path made it.
#pragma once

#include "core/forked.hpp"
#include "hostnet/exposure.hpp"

#include <memory>
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
  /// As Exposure::unpinned().
  [[nodiscard]] virtual std::string unpinned() const { return {}; }
  /// One port more for whom this lease is for, by what it has set up, until either of the two ends. nullptr
  /// on a path where that is another lease. @throws as Exposer::expose().
  virtual std::shared_ptr<Impl> extend(const HostPort&) { return nullptr; }

  const std::uint64_t made_in = fork_generation();  ///< A forked child leaves it alone.
  std::string id;
  const char* via = "";  ///< The name of its path, which sets it.
  std::vector<HostPort> ports;
  std::string gateway;
  std::string interface;
};

/// The way from a handle to what stands behind it, for the library itself.
struct __attribute__((visibility("hidden"))) BehindExposure {
  static Exposure::Impl* of(const Exposure& exposure) noexcept { return exposure.impl_.get(); }
  /// The name of its path, also of one that Path has no value for; empty when it holds nothing.
  static const char* via(const Exposure& exposure) noexcept {
    return exposure.impl_ ? exposure.impl_->via : "";
  }
};

}  // namespace hostnet
