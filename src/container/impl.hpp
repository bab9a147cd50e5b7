// What stands behind a Container, from before it is created until after it is gone.
//
// It is made first and filled as start() goes on, so that whatever fails on the way is undone by the same
// code that ends a container's life, in the same order: the container is stopped, then its exposures end,
// then it is removed, then its network goes.
#pragma once

#include "container/network_use.hpp"
#include "core/deadline.hpp"
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

/// Hidden, or it would be exported along with Container.
/// Thread-safe but for its public members, which start() sets before anybody else has it.
class __attribute__((visibility("hidden"))) Container::Impl {
 public:
  explicit Impl(engine::Address address) : engine(std::move(address)) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  /// tear_down(); failures go to the log.
  ~Impl();

  /// What it said last, one line; empty when that is not known.
  [[nodiscard]] std::string last_words() const noexcept;
  /// Lets its exposures end, having stopped it. @throws Error.
  void stop(std::chrono::seconds grace);
  /// stop(), and removal. @throws Error with all that failed.
  void tear_down(std::chrono::seconds grace);
  void expose(const HostPort& port);
  [[nodiscard]] std::vector<HostPort> host_ports() const;
  [[nodiscard]] Path via() const;

  const std::uint64_t made_in = fork_generation();  ///< A forked child leaves it alone.
  engine::Address engine;
  std::string id;  ///< Empty until it is created.
  std::string name;
  bool keep = false;  ///< A reused one: nothing of it is touched at the end.
  ExposerOptions exposer;
  std::unique_ptr<container::NetworkUse> network;
  const hostnet::exposer::PathDriver* path = nullptr;  ///< By which the lease goes; nullptr without one.
  std::unique_ptr<hostnet::exposer::AheadLease> lease;

 private:
  void end_exposures(std::vector<std::string>& failures);
  std::optional<Exposure> extend(const HostPort& port);

  mutable std::mutex mutex_;  // guards what follows, and the lease's exposure
  std::vector<Exposure> later_;
  bool removed_ = false;
};

}  // namespace hostnet
