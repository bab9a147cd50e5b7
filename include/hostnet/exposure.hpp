// A lease that this process holds: as long as the object lives, the ports are reachable.
#pragma once

#include "hostnet/export.hpp"
#include "hostnet/path.hpp"
#include "hostnet/port.hpp"

#include <memory>
#include <string>
#include <vector>

namespace hostnet {

/// What became of a lease.
enum class ExposureState {
  active,    ///< In place: rules, sysctl and alias, or sidecar, tunnel and alias.
  released,  ///< Given back, by release(), by the destructor, or by somebody's `tc-hostnet release`.
  failed,    ///< Could not be kept (the bridge or the sidecar vanished, the rules could not be put back);
             ///< nothing is left.
};

/// "active", "released" or "failed".
HOSTNET_EXPORT const char* to_string(ExposureState state) noexcept;

struct BehindExposure;

/// Move-only owner of one lease. Thread-safe: any thread may ask or release, and a second releaser returns
/// when the first is done; moving is as for any object. In a forked child the lease stays the parent's: the
/// destructor does nothing, and release() throws.
class HOSTNET_EXPORT Exposure {
 public:
  Exposure() noexcept = default;            ///< Holds nothing.
  Exposure(Exposure&&) noexcept = default;  ///< The other holds nothing afterwards.
  /// Releases what this object held, as the destructor does.
  Exposure& operator=(Exposure&& other) noexcept;
  Exposure(const Exposure&) = delete;
  Exposure& operator=(const Exposure&) = delete;
  /// Releases; a failure goes to the log sink, never out of here.
  ~Exposure();

  /// Takes every rule, alias and setting of this lease away, in the safe order, and cuts its live
  /// connections. Every step is tried even when one fails. Does nothing on a lease that has ended.
  /// @throws Error naming all the steps that failed, after all have been tried.
  void release();

  /// The lease id, as `tc-hostnet list` shows it; empty when this object holds nothing.
  [[nodiscard]] std::string id() const;
  /// `released` when this object holds nothing.
  [[nodiscard]] ExposureState state() const;
  /// Why it is released or failed, one line; empty while active.
  [[nodiscard]] std::string reason() const;
  /// Why nothing keeps a neighbour that takes over the container's address from using a lease for one
  /// container, one line; empty when the address is pinned to its port of the bridge, for a lease for
  /// everybody, and by ssh.
  [[nodiscard]] std::string unpinned() const;
  /// Sorted and without duplicates.
  [[nodiscard]] std::vector<HostPort> ports() const;
  /// The address to which the alias resolves in the container, dotted quad.
  [[nodiscard]] std::string gateway() const;
  /// The bridge that the containers hang on; on the ssh path, the name of the network.
  [[nodiscard]] std::string interface() const;
  /// The path that serves it; `automatic` when this object holds nothing.
  [[nodiscard]] Path path() const;

  class Impl;  ///< What a path keeps of a lease; not for users.
  explicit Exposure(std::shared_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}

 private:
  friend struct BehindExposure;
  std::shared_ptr<Impl> impl_;
};

}  // namespace hostnet
