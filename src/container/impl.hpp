// The implementation behind a Container, from before the engine creates it until after it is removed.
//
// start() makes it first and fills it stage by stage. If a stage fails, the destructor undoes the earlier
// ones with the same code, in the same order, that ends a container's life: stop the container, remove it,
// end its exposures, drop its network.
#pragma once

#include "container/network_use.hpp"
#include "core/deadline.hpp"
#include "core/failures.hpp"
#include "core/forked.hpp"
#include "engine/client.hpp"
#include "engine/containers.hpp"
#include "hostnet/container.hpp"
#include "path/select.hpp"

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace hostnet {

/// Hidden, because Container is exported and would export it.
/// Thread-safe, except its public members: start() sets them before it returns the object.
class __attribute__((visibility("hidden"))) Container::Impl {
 public:
  explicit Impl(engine::Address address) : engine(std::move(address)) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  /// tear_down(); failures go to the log.
  ~Impl();

  /// The container's last output in one line; empty if not available.
  [[nodiscard]] std::string last_words() const noexcept;
  /// Stops the container, then ends its exposures. @throws Error.
  void stop(std::chrono::seconds grace);
  /// Stops and removes the container, ends its exposures, drops its network; only the first call acts.
  /// @throws Error naming every step that failed.
  void tear_down(std::chrono::seconds grace);
  void expose(const HostPort& port);
  [[nodiscard]] std::vector<HostPort> host_ports() const;
  [[nodiscard]] Path via() const;

  const std::uint64_t made_in = fork_generation();  ///< A forked child does not destroy it.
  engine::Address engine;
  std::string id;  ///< Empty until the engine has created it.
  std::string name;
  bool keep = false;  ///< A reused container: tear_down() does nothing.
  ExposerOptions exposer;
  std::unique_ptr<container::NetworkUse> network;
  const hostnet::exposer::PathDriver* path = nullptr;  ///< By which the lease goes; nullptr without one.
  std::unique_ptr<hostnet::exposer::AheadLease> lease;

 private:
  void end_exposures(Failures& failures);
  std::optional<Exposure> extend(const HostPort& port);

  mutable std::mutex mutex_;  // guards the members below and the lease's exposure
  std::vector<Exposure> later_;
  bool removed_ = false;
};

}  // namespace hostnet
