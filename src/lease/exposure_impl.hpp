// The implementation of an Exposure; each path derives its own.
#pragma once

#include "core/forked.hpp"
#include "hostnet/exposure.hpp"
#include "lease/same_ports.hpp"

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
  /// Adds a port for the same target, on the existing set-up (same session, same sidecar). It ends when
  /// either lease ends. Returns nullptr if the path needs a separate lease. @throws as Exposer::expose().
  virtual std::shared_ptr<Impl> extend(const HostPort&) { return nullptr; }

  const std::uint64_t made_in = fork_generation();  ///< A forked child does not touch the lease.
  std::string id;
  const char* via = "";  ///< The path's name; the path sets it.
  std::vector<HostPort> ports;
  std::string gateway;
  std::string interface;
  /// The path sets it with id and ports, if the lease writes names.
  exposer::KnownLease known;
};

/// Gives the library access to the implementation of a handle.
struct __attribute__((visibility("hidden"))) BehindExposure {
  static Exposure::Impl* of(const Exposure& exposure) noexcept { return exposure.impl_.get(); }
  /// The path's name, even if Path has no value for it; empty for an empty handle.
  static const char* via(const Exposure& exposure) noexcept {
    return exposure.impl_ ? exposure.impl_->via : "";
  }
};

}  // namespace hostnet
