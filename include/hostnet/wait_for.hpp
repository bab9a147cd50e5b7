// The conditions that make a container count as started.
#pragma once

#include "hostnet/export.hpp"
#include "hostnet/port.hpp"

#include <chrono>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace hostnet {

/// A port inside a container. A value.
struct ContainerPort {
  std::uint16_t number = 0;           ///< 1–65535.
  Protocol protocol = Protocol::tcp;  ///< 53/tcp and 53/udp are two ports.

  /// "8080/tcp".
  [[nodiscard]] HOSTNET_EXPORT std::string to_string() const;
  /// Orders by number, then by protocol.
  auto operator<=>(const ContainerPort&) const = default;
};

/// `tcp(8080)`.
constexpr ContainerPort tcp(std::uint16_t number) { return {number, Protocol::tcp}; }
/// `udp(53)`.
constexpr ContainerPort udp(std::uint16_t number) { return {number, Protocol::udp}; }

/// An output stream of a container.
enum class OutputStream : std::uint8_t { out, err };

/// One condition that GenericImage::start() waits for. Immutable; copies are cheap. A moved-from object may
/// only be assigned to or destroyed.
///
/// The wait fails when the container ends without meeting the condition, and at the deadline of start().
class HOSTNET_EXPORT WaitFor {
 public:
  /// Standard output contains `text` at least `times` times, without overlap. `text` is not empty and may
  /// span lines; `times` is at least 1.
  static WaitFor message_on_stdout(std::string text, unsigned times = 1);
  /// The same on standard error.
  static WaitFor message_on_stderr(std::string text, unsigned times = 1);
  /// `span` has passed since the start. The container may have ended.
  static WaitFor duration(std::chrono::milliseconds span);
  /// duration() of whole seconds.
  static WaitFor seconds(unsigned count);
  /// The container has ended: with `code`, or with any code for nullopt.
  static WaitFor exit(std::optional<int> code = std::nullopt);
  /// The health check succeeds. The image has one, or with_health_check() sets it. Podman runs health checks
  /// by systemd timers.
  static WaitFor healthy();
  /// GET of `path` on the published `port` returns `status`; redirects are not followed. `path` begins with a
  /// slash. `port` is TCP, and exposed or mapped.
  static WaitFor http(std::string path, ContainerPort port, int status = 200);
  /// A program in the container listens on the TCP port, on another address than loopback. Makes no
  /// connection. When the engine is in another machine or user namespace, the image needs `cat`.
  static WaitFor listening(ContainerPort port);

  /// "message 'ready' on stdout", "HTTP status 200 of / on 8080/tcp": for messages.
  [[nodiscard]] std::string to_string() const;

  struct Condition;  ///< Internal.
  /// @private
  [[nodiscard]] const Condition& condition() const noexcept { return *condition_; }

 private:
  explicit WaitFor(std::shared_ptr<const Condition> condition) noexcept : condition_(std::move(condition)) {}

  std::shared_ptr<const Condition> condition_;
};

}  // namespace hostnet
