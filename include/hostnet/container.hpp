// A running container that this program has started.
#pragma once

#include "hostnet/export.hpp"
#include "hostnet/exposure.hpp"
#include "hostnet/image.hpp"
#include "hostnet/port.hpp"
#include "hostnet/wait_for.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet {

/// A command to be run in a container.
struct ExecCommand {
  std::vector<std::string> words;  ///< The program and its arguments; no shell reads them.
  std::optional<std::string> input =
      std::nullopt;  ///< Its standard input, which ends after it; none unless told.
  std::map<std::string, std::string> environment = {};  ///< Added to the container's.
  std::string working_dir = {};                         ///< Empty: the image's.
  std::string user = {};                                ///< Empty: the container's.
  std::chrono::milliseconds timeout{60'000};            ///< For all of it.
};

/// What a command in a container gave.
struct ExecResult {
  int exit_code = 0;  ///< 126 or 127 when it could not be run, as a shell gives it.
  std::string out;    ///< Standard output, and
  std::string err;    ///< standard error, apart.
};

/// What a container has written so far.
struct Logs {
  std::string out;  ///< Standard output, and
  std::string err;  ///< standard error, apart.
};

/// Takes a piece of output, cut anywhere; returns whether it wants more.
using LogConsumer = std::function<bool(OutputStream, std::string_view)>;

/// Move-only owner of a container: it is stopped and removed with the object, then its exposures end, then
/// its network goes if this was the last user of it. In a forked child the destructor does nothing, for the
/// container is the parent's. Thread-safe; moving is as for any object. A moved-from one may only be
/// destroyed and assigned to. Every call throws Error: not_found when the container is gone, and what the
/// engine's failures are: engine_unavailable, engine_error, timed_out.
class HOSTNET_EXPORT Container {
 public:
  /// The other is left without a container.
  Container(Container&&) noexcept;
  /// The container that was held is removed first.
  Container& operator=(Container&&) noexcept;
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;
  /// remove(); a failure goes to the log sink.
  ~Container();

  /// The engine's id, 64 hexadecimal digits.
  [[nodiscard]] std::string id() const;
  /// The name that was asked for, or the engine's own choice.
  [[nodiscard]] std::string name() const;

  /// Where the container's exposed ports are: $TESTCONTAINERS_HOST_OVERRIDE, else "localhost".
  [[nodiscard]] std::string get_host() const;
  /// The host's port on IPv4 that leads to an exposed port.
  /// @throws Error: port_not_exposed when the port was not exposed, or not on IPv4; engine_error for an
  /// answer that makes no sense. Never returns 0.
  [[nodiscard]] std::uint16_t get_host_port_ipv4(ContainerPort port) const;
  /// The same on IPv6, which may be another number.
  [[nodiscard]] std::uint16_t get_host_port_ipv6(ContainerPort port) const;
  /// Its own IPv4 address on its network, dotted quad. @throws Error{not_found} when it has none.
  [[nodiscard]] std::string get_bridge_ip_address() const;

  /// Runs a command in it to its end. @throws Error: conflict when the container does not run, timed_out (the
  /// command is left to itself), engine_error for more than 16 MiB of output.
  ExecResult exec(const ExecCommand& command) const;
  /// The same with everything else at its default.
  ExecResult exec(std::vector<std::string> words) const;

  /// Its output so far. @throws Error{engine_error} above 16 MiB.
  [[nodiscard]] Logs logs() const;
  /// Hands over its output from the beginning, as it comes. Returns when the container has ended or the
  /// consumer wants no more. What the consumer throws comes out of here. @throws Error{timed_out}.
  void follow_logs(const LogConsumer& consumer,
                   std::optional<std::chrono::milliseconds> timeout = std::nullopt) const;

  /// SIGTERM, and SIGKILL after `grace` (whole seconds). Its exposures end after it has stopped; it can be
  /// asked for its logs still. Nothing when it has ended.
  void stop(std::chrono::seconds grace = std::chrono::seconds{10});
  /// stop() with a grace of `grace`, and removal with its anonymous volumes. Every step is tried even when
  /// one fails. Nothing when it has been removed.
  /// @throws Error naming every step that failed.
  void remove(std::chrono::seconds grace = std::chrono::seconds{10});

  /// Waits until it has ended; its exit code. @throws Error{timed_out}.
  int wait(std::optional<std::chrono::milliseconds> timeout = std::nullopt) const;

  /// What the engine says of it: JSON.
  [[nodiscard]] std::string inspect() const;

  /// Exposes one more service of the host to this running container, by the path that its other ones take.
  /// @throws Error as Exposer::expose(); conflict when that port leads elsewhere already.
  void expose_host_port(std::uint16_t port);
  /// The same with another number in the container, UDP, or a Unix socket of the host.
  void expose_host_port(const HostPort& port);
  /// The host's services that it reaches. Sorted.
  [[nodiscard]] std::vector<HostPort> exposed_host_ports() const;
  /// How; `automatic` where nothing is exposed.
  [[nodiscard]] Path exposed_via() const;

  class Impl;  ///< What stands behind it; not for users.
  /// @private
  explicit Container(std::unique_ptr<Impl> impl) noexcept;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace hostnet
