// Waiting until a container meets a condition.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"
#include "hostnet/wait_for.hpp"

#include <string>
#include <string_view>

namespace hostnet::container {

/// The container that is waited for.
struct Awaited {
  const engine::Address& engine;
  const std::string& id;
};

/// @throws Error: timed_out at the deadline; failure when the container has ended without meeting it, or is
/// unhealthy, or cannot be asked.
void wait_for(const Awaited& container, const WaitFor& condition, Deadline deadline);

/// Whether somebody listens on the port, and not on the loopback alone; `table` as /proc/net/tcp or tcp6 has
/// it (proc_net(5)), or both one after the other. Pure.
bool has_listener(std::string_view table, std::uint16_t port);

/// Finds a text in pieces that are cut anywhere, and counts. Pure.
class Finder {
 public:
  /// `text` is not empty.
  Finder(std::string text, unsigned times) : text_(std::move(text)), left_(times) {}
  /// Whether it has been found as often as wanted. Occurrences do not overlap.
  bool feed(std::string_view piece);

 private:
  std::string text_;
  unsigned left_;
  std::string kept_;  // the end of what came, which may be the beginning of an occurrence
};

}  // namespace hostnet::container
