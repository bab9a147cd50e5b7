// When a container counts as started.
#pragma once

#include "hostnet/export.hpp"
#include "hostnet/port.hpp"

#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

namespace hostnet {

/// A port of a container, as its own programs number it.
struct ContainerPort {
  std::uint16_t number = 0;           ///< 1–65535.
  Protocol protocol = Protocol::tcp;  ///< Not part of the number: 53/tcp and 53/udp are two ports.

  /// "8080/tcp".
  [[nodiscard]] HOSTNET_EXPORT std::string to_string() const;
  /// By number, then by protocol.
  auto operator<=>(const ContainerPort&) const = default;
};

/// `tcp(8080)`.
constexpr ContainerPort tcp(std::uint16_t number) { return {number, Protocol::tcp}; }
/// `udp(53)`.
constexpr ContainerPort udp(std::uint16_t number) { return {number, Protocol::udp}; }

/// Which of a container's two output streams.
enum class OutputStream : std::uint8_t { out, err };

/// One condition that a started container must come to meet. A plain value. Waiting ends with an Error as
/// soon as the container has ended without meeting it, and at the deadline of start().
class WaitFor {
 public:
  /// message_on_stdout(), message_on_stderr().
  struct Message {
    OutputStream stream = OutputStream::out;  ///< Where it is looked for.
    std::string text;                         ///< Not empty.
    unsigned times = 1;                       ///< At least once; occurrences do not overlap.
  };
  /// duration().
  struct Duration {
    std::chrono::milliseconds span{0};  ///< From when the container was started.
  };
  /// exit().
  struct Exit {
    std::optional<int> code;  ///< nullopt: any.
  };
  /// healthy().
  struct Healthy {};
  /// http().
  struct Http {
    std::string path;    ///< Begins with a slash.
    ContainerPort port;  ///< TCP.
    int status = 200;    ///< The one that is waited for; no redirect is followed.
  };
  /// listening().
  struct Listening {
    ContainerPort port;  ///< TCP.
  };
  /// Which of them it is.
  using Condition = std::variant<Duration, Message, Exit, Healthy, Http, Listening>;

  /// `text` has been written to standard output, on one line or across, `times` times.
  static WaitFor message_on_stdout(std::string text, unsigned times = 1) {
    return WaitFor(Message{OutputStream::out, std::move(text), times});
  }
  /// The same of standard error.
  static WaitFor message_on_stderr(std::string text, unsigned times = 1) {
    return WaitFor(Message{OutputStream::err, std::move(text), times});
  }
  /// So much time has passed. The container may have ended by then.
  static WaitFor duration(std::chrono::milliseconds span) { return WaitFor(Duration{span}); }
  /// duration() in whole seconds.
  static WaitFor seconds(unsigned count) { return duration(std::chrono::seconds{count}); }
  /// It has ended; with `code`, where one is given.
  static WaitFor exit(std::optional<int> code = std::nullopt) { return WaitFor(Exit{code}); }
  /// The engine finds it healthy. Its image has a health check, or with_health_check() gives it one; Podman
  /// runs those by systemd's timers.
  static WaitFor healthy() { return WaitFor(Healthy{}); }
  /// GET of `path` at the host's port for `port` gives that status. The port must be exposed or mapped.
  static WaitFor http(std::string path, ContainerPort port, int status = 200) {
    return WaitFor(Http{std::move(path), port, status});
  }
  /// A program in the container listens on the port, on any address but its loopback. No connection is made.
  /// TCP. From another machine or user namespace than the engine's, the image must have `cat`.
  static WaitFor listening(ContainerPort port) { return WaitFor(Listening{port}); }

  /// What it was made from.
  [[nodiscard]] const Condition& condition() const noexcept { return condition_; }
  /// "message 'ready' on stdout", "HTTP status 200 of / on 8080/tcp": for messages.
  [[nodiscard]] HOSTNET_EXPORT std::string to_string() const;

 private:
  explicit WaitFor(Condition condition) : condition_(std::move(condition)) {}
  Condition condition_;
};

}  // namespace hostnet
