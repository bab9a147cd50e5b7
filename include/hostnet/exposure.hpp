// A lease that this process holds. The ports stay reachable while the object lives.
#pragma once

#include "hostnet/export.hpp"
#include "hostnet/path.hpp"
#include "hostnet/port.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace hostnet {

/// The state of a lease. Later versions may add values.
enum class ExposureState {
  active,    ///< In place: rules, sysctl and alias, or sidecar, tunnel and alias.
  released,  ///< Ended by release(), by the destructor, by its timeout, or by `tc-hostnet release`.
  failed,    ///< Lost and cleaned up: the bridge or sidecar is gone, or the monitor cannot restore the rules.
};

/// "active", "released" or "failed". Never null.
HOSTNET_EXPORT const char* to_string(ExposureState state) noexcept;

struct BehindExposure;

/// Owns one lease; move-only. Thread-safe, except for moving and destroying the object itself. When two
/// threads release, the second returns after the first has finished.
///
/// In a forked child the lease stays with the parent: the destructor does nothing, and release() throws
/// Error{failure}.
class HOSTNET_EXPORT Exposure {
 public:
  Exposure() noexcept = default;            ///< Empty: owns no lease.
  Exposure(Exposure&&) noexcept = default;  ///< Leaves the source empty.
  /// Releases its own lease as the destructor does, then takes the other.
  Exposure& operator=(Exposure&& other) noexcept;
  Exposure(const Exposure&) = delete;
  Exposure& operator=(const Exposure&) = delete;
  /// Calls release(). An error goes to the log sink.
  ~Exposure();

  /// Removes every rule, alias and setting of the lease in the safe order, and cuts its connections. Does
  /// nothing when the lease has ended. Bounded by ExposerOptions::deadline.
  /// @throws Error that lists every failed step, after all steps have run.
  void release();

  /// The lease id, as `tc-hostnet list` prints it; empty for an empty object.
  [[nodiscard]] std::string id() const;
  /// The state; `released` for an empty object.
  [[nodiscard]] ExposureState state() const;
  /// Why the lease ended, one line; empty while active.
  [[nodiscard]] std::string reason() const;
  /// Why the lease has no anti-spoofing binding, one line: a neighbour that takes over the container's
  /// address can use the ports. Empty when a binding ties the address to its bridge port, and for a lease
  /// that needs none (every container of a network or bridge, or the ssh path).
  [[nodiscard]] std::string unpinned() const;
  /// The ports, sorted, without duplicates.
  [[nodiscard]] std::vector<HostPort> ports() const;
  /// The IPv4 address of the alias in the container, dotted quad.
  [[nodiscard]] std::string gateway() const;
  /// The containers' bridge; on the ssh path, the name of the network.
  [[nodiscard]] std::string interface() const;
  /// The path that serves the lease; `automatic` for an empty object.
  [[nodiscard]] Path path() const;

  class Impl;  ///< Internal.
  /// @private
  explicit Exposure(std::shared_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}

 private:
  friend struct BehindExposure;
  std::shared_ptr<Impl> impl_;
};

}  // namespace hostnet
