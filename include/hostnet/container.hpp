// A container that this process started and owns.
#pragma once

#include "hostnet/export.hpp"
#include "hostnet/exposure.hpp"
#include "hostnet/image.hpp"
#include "hostnet/port.hpp"
#include "hostnet/wait_for.hpp"

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hostnet {

/// A command to run in a container. Name the members that you set: later versions add members at the end.
struct ExecCommand {
  std::vector<std::string> words = {};                  ///< The program and its arguments, without a shell.
  std::optional<std::string> input = std::nullopt;      ///< All of standard input; nullopt: none.
  std::map<std::string, std::string> environment = {};  ///< Added to the container's environment.
  std::string working_dir = {};                         ///< Empty: the image's.
  std::string user = {};                                ///< Empty: the container's.
  std::chrono::milliseconds timeout{60'000};            ///< Limit of the whole call.
};

/// The result of a command. Later versions may add members at the end.
struct ExecResult {
  int exit_code = 0;     ///< As a shell reports it: 126 or 127 for a command that cannot run.
  std::string out = {};  ///< Standard output.
  std::string err = {};  ///< Standard error.
};

/// The output of a container so far. Later versions may add members at the end.
struct Logs {
  std::string out = {};  ///< Standard output.
  std::string err = {};  ///< Standard error.
};

/// Receives a piece of output, cut anywhere; returns whether it wants more. The text is valid only during the
/// call.
using LogConsumer = std::function<bool(OutputStream, std::string_view)>;

/// Owns a running container; move-only. Thread-safe, except for moving and destroying the object itself. A
/// moved-from object may only be assigned to or destroyed.
///
/// At its end the container stops, the engine removes it, its exposures end, and a network that start()
/// created goes with its last container. In a forked child the container stays with the parent: the
/// destructor does nothing, and the child must call nothing else.
///
/// Every call asks the engine and may throw Error: not_found for a removed container, engine_unavailable,
/// engine_error, timed_out. Queries without a timeout parameter wait at most 30 s for the engine.
class HOSTNET_EXPORT Container {
 public:
  /// Leaves the source without a container.
  Container(Container&&) noexcept;
  /// Removes its own container as the destructor does, then takes the other.
  Container& operator=(Container&&) noexcept;
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;
  /// Calls remove(). An error goes to the log sink.
  ~Container();

  /// The engine's id, 64 hexadecimal digits.
  [[nodiscard]] std::string id() const;
  /// The requested name, or the name that the engine chose.
  [[nodiscard]] std::string name() const;

  /// The host that publishes the container's ports: $TESTCONTAINERS_HOST_OVERRIDE, else "localhost".
  [[nodiscard]] std::string get_host() const;
  /// The host's IPv4 port for an exposed container port; never 0.
  /// @throws Error: port_not_exposed when the port has none; engine_error for an answer without sense.
  [[nodiscard]] std::uint16_t get_host_port_ipv4(ContainerPort port) const;
  /// The host's IPv6 port, which may differ. @throws as get_host_port_ipv4().
  [[nodiscard]] std::uint16_t get_host_port_ipv6(ContainerPort port) const;
  /// The container's own IPv4 address, dotted quad. @throws Error{not_found} when it has none.
  [[nodiscard]] std::string get_bridge_ip_address() const;

  /// Runs a command and waits for its end.
  /// @throws Error: conflict when the container does not run; timed_out, and the command goes on;
  /// engine_error for more than 16 MiB of output.
  ExecResult exec(const ExecCommand& command) const;
  /// exec() of these words with default options: `exec({"cat", "/etc/hosts"})`.
  template <std::size_t N>
  ExecResult exec(const std::string (&words)[N]) const {
    return exec(ExecCommand{.words = {words, words + N}});
  }
  /// The same. A template, because g++ 12 takes `exec({.words = {"id"}})` for a list of strings otherwise.
  template <std::same_as<std::vector<std::string>> Words>
  ExecResult exec(Words words) const {
    return exec(ExecCommand{.words = std::move(words)});
  }

  /// The output so far. @throws Error{engine_error} above 16 MiB.
  [[nodiscard]] Logs logs() const;
  /// Passes the output to `consumer` in the calling thread, from the beginning and as it comes. Returns when
  /// the container ends or the consumer returns false; nullopt: no time limit.
  /// @throws Error{timed_out}, and what the consumer throws.
  void follow_logs(const LogConsumer& consumer,
                   std::optional<std::chrono::milliseconds> timeout = std::nullopt) const;

  /// Sends SIGTERM, and SIGKILL after `grace`. The exposures end afterwards; logs() still works. Does nothing
  /// when the container has ended.
  void stop(std::chrono::seconds grace = std::chrono::seconds{10});
  /// Stops and removes the container with its anonymous volumes, then ends its exposures. Runs every step, even
  /// after one fails. Does nothing when the container is removed.
  /// @throws Error that lists every failed step.
  void remove(std::chrono::seconds grace = std::chrono::seconds{10});

  /// Waits for the end and returns the exit code; nullopt: no time limit. @throws Error{timed_out}.
  int wait(std::optional<std::chrono::milliseconds> timeout = std::nullopt) const;

  /// The engine's description of the container: JSON, as the engine's API defines it.
  [[nodiscard]] std::string inspect() const;

  /// Exposes one more TCP port of the host to the running container, by the path of its other ports.
  /// @throws Error as Exposer::expose(); conflict when the container port leads to another service.
  void expose_host_port(std::uint16_t port);
  /// The same with another port in the container, UDP, or a Unix socket of the host.
  void expose_host_port(const HostPort& port);
  /// The host services that the container reaches, sorted.
  [[nodiscard]] std::vector<HostPort> exposed_host_ports() const;
  /// The path of the exposed ports; `automatic` when there are none.
  [[nodiscard]] Path exposed_via() const;

  class Impl;  ///< Internal.
  /// @private
  explicit Container(std::unique_ptr<Impl> impl) noexcept;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace hostnet
