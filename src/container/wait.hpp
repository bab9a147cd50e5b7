// Waits until a container meets a condition.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"
#include "hostnet/wait_for.hpp"

#include <string>
#include <string_view>

namespace hostnet::container {

/// The container to wait for.
struct Awaited {
  const engine::Address& engine;
  const std::string& id;
};

/// @throws Error: timed_out at the deadline; failure when the container ends without meeting the condition,
/// is unhealthy, or does not allow the check.
void wait_for(const Awaited& container, const WaitFor& condition, Deadline deadline);

/// Whether a socket listens on the port on an address other than loopback. `table` is the text of
/// /proc/net/tcp or tcp6 (proc_net(5)), or of both, concatenated. Pure.
bool has_listener(std::string_view table, std::uint16_t port);

/// Counts occurrences of a text in a stream of pieces, also across pieces. Pure.
class Finder {
 public:
  /// `text` is not empty.
  Finder(std::string text, unsigned times) : text_(std::move(text)), left_(times) {}
  /// Returns whether the text has occurred `times` times so far. Occurrences do not overlap.
  bool feed(std::string_view piece);

 private:
  std::string text_;
  unsigned left_;
  std::string kept_;  // end of the input so far, which may be the start of an occurrence
};

}  // namespace hostnet::container
