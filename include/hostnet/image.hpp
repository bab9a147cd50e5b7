// The description of a container: an image and how to run it.
#pragma once

#include "hostnet/export.hpp"
#include "hostnet/exposer.hpp"
#include "hostnet/path.hpp"
#include "hostnet/port.hpp"
#include "hostnet/wait_for.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hostnet {

class Container;
struct ContainerRequest;

/// Receives one line of a pull's progress, in the thread that called start(). The line is valid only during
/// the call.
using PullProgress = std::function<void(std::string_view line)>;

/// When start() pulls the image. Later versions may add values.
enum class PullPolicy : std::uint8_t {
  missing,  ///< When the engine does not have it.
  always,   ///< Every time.
  never,    ///< Never: an image that the engine does not have is an error.
};

/// An image and how to run it. A copyable value that may start any number of containers. A moved-from object
/// may only be assigned to or destroyed. start() makes every check; the setters make none. Calls chain on an
/// object and on a temporary:
///
///     auto container = GenericImage("nginx", "1.25").with_exposed_port(tcp(80)).start();
class HOSTNET_EXPORT GenericImage {
 public:
  /// "nginx", "registry.example:5000/team/app"; the tag may be a digest ("sha256:…"). Without a tag the name may have
  /// it, "alpine:3.19" or "alpine@sha256:…"; else it is "latest".
  explicit GenericImage(const std::string& name, const std::string& tag = {});
  GenericImage(const GenericImage& other);                 ///< A separate description.
  GenericImage(GenericImage&& other) noexcept;             ///< Leaves the source without a description.
  GenericImage& operator=(const GenericImage& other);      ///< A separate description.
  GenericImage& operator=(GenericImage&& other) noexcept;  ///< Leaves the source without a description.
  ~GenericImage();

  /// Publishes a container port on a host port that the engine chooses: Container::get_host_port_ipv4(),
  /// Container::get_host_port_ipv6().
  GenericImage& with_exposed_port(ContainerPort port) &;
  /// Publishes a container port on host port `host`; 0: the engine chooses.
  GenericImage& with_mapped_port(std::uint16_t host, ContainerPort port) &;
  /// The container reaches the TCP service on the host's 127.0.0.1:`port` as
  /// host.testcontainers.internal:`port`, from its first instruction until it has stopped.
  GenericImage& with_exposed_host_port(std::uint16_t port) &;
  /// The same with another port in the container, another address of the loopback, UDP, or a Unix socket.
  GenericImage& with_exposed_host_port(HostPort port) &;
  /// with_exposed_host_port() for each: `{8080, 5432}`.
  GenericImage& with_exposed_host_ports(std::initializer_list<std::uint16_t> ports) &;
  /// The same for a list made at run time.
  GenericImage& with_exposed_host_ports(std::span<const std::uint16_t> ports) &;
  /// The same with other ports in the container: `{HostPort{8080, 80}, HostPort{5432, 15432}}`.
  GenericImage& with_exposed_host_ports(const std::vector<HostPort>& ports) &;
  /// Replaces the image's entrypoint.
  GenericImage& with_entrypoint(std::vector<std::string> words) &;
  /// Replaces the image's command. Without an entrypoint its first word is the program.
  GenericImage& with_cmd(std::vector<std::string> words) &;
  /// Adds an environment variable, or replaces one of that name.
  GenericImage& with_env_var(const std::string& name, std::string value) &;
  /// The engine's network. start() creates a missing bridge network; it goes with the last container that
  /// this library started on it. "host", "none" and "container:<id>" are the engine's modes. Default: the
  /// engine's default network.
  GenericImage& with_network(std::string name) &;
  /// An entry in the container's hosts file. `address` may be "host-gateway".
  GenericImage& with_host(std::string name, std::string address) &;
  /// A name that no other container of the engine has. Default: the engine chooses.
  GenericImage& with_container_name(std::string name) &;
  /// Adds a label. The library reserves labels that begin with "org.testcontainers".
  GenericImage& with_label(const std::string& name, std::string value) &;
  /// Writes `content` to the file `target` (an absolute path) before the container starts, and creates
  /// missing folders. `mode`: permission bits.
  GenericImage& with_copy_to(std::string target, std::string content, unsigned mode = 0644) &;
  /// The same with a file of this machine, which start() reads.
  GenericImage& with_copy_file_to(std::string target, std::filesystem::path source, unsigned mode = 0644) &;
  /// The engine runs `command` in the container every `interval`; exit code 0 is healthy.
  GenericImage& with_health_check(std::vector<std::string> command, std::chrono::milliseconds interval) &;
  /// Adds a condition. start() waits for one after the other, in this order.
  GenericImage& with_wait_for(WaitFor condition) &;
  /// One deadline for all of start(), the pull included. Default: 60 s.
  GenericImage& with_startup_timeout(std::chrono::milliseconds timeout) &;
  /// The path of exposed host ports. Default: automatic.
  GenericImage& with_exposer(Path path) &;
  /// All options of the exposer. ExposerOptions::engine is also the container's engine.
  GenericImage& with_exposer(ExposerOptions options) &;
  /// Default: PullPolicy::missing without a progress callback.
  GenericImage& with_pull_policy(PullPolicy policy, PullProgress progress = {}) &;
  /// Leaves the container running when its Container ends. The next start() of an equal description returns
  /// the same container. Only a person removes it. Excludes exposed host ports.
  GenericImage& with_reuse(bool reuse = true) &;

  /// @cond
  // The same on a temporary.
  GenericImage&& with_exposed_port(ContainerPort port) && { return std::move(with_exposed_port(port)); }
  GenericImage&& with_mapped_port(std::uint16_t host, ContainerPort port) && {
    return std::move(with_mapped_port(host, port));
  }
  GenericImage&& with_exposed_host_port(std::uint16_t port) && {
    return std::move(with_exposed_host_port(port));
  }
  GenericImage&& with_exposed_host_port(HostPort port) && {
    return std::move(with_exposed_host_port(std::move(port)));
  }
  GenericImage&& with_exposed_host_ports(std::initializer_list<std::uint16_t> ports) && {
    return std::move(with_exposed_host_ports(ports));
  }
  GenericImage&& with_exposed_host_ports(std::span<const std::uint16_t> ports) && {
    return std::move(with_exposed_host_ports(ports));
  }
  GenericImage&& with_exposed_host_ports(const std::vector<HostPort>& ports) && {
    return std::move(with_exposed_host_ports(ports));
  }
  GenericImage&& with_entrypoint(std::vector<std::string> words) && {
    return std::move(with_entrypoint(std::move(words)));
  }
  GenericImage&& with_cmd(std::vector<std::string> words) && { return std::move(with_cmd(std::move(words))); }
  GenericImage&& with_env_var(const std::string& name, std::string value) && {
    return std::move(with_env_var(name, std::move(value)));
  }
  GenericImage&& with_network(std::string name) && { return std::move(with_network(std::move(name))); }
  GenericImage&& with_host(std::string name, std::string address) && {
    return std::move(with_host(std::move(name), std::move(address)));
  }
  GenericImage&& with_container_name(std::string name) && {
    return std::move(with_container_name(std::move(name)));
  }
  GenericImage&& with_label(const std::string& name, std::string value) && {
    return std::move(with_label(name, std::move(value)));
  }
  GenericImage&& with_copy_to(std::string target, std::string content, unsigned mode = 0644) && {
    return std::move(with_copy_to(std::move(target), std::move(content), mode));
  }
  GenericImage&& with_copy_file_to(std::string target, std::filesystem::path source,
                                   unsigned mode = 0644) && {
    return std::move(with_copy_file_to(std::move(target), std::move(source), mode));
  }
  GenericImage&& with_health_check(std::vector<std::string> command, std::chrono::milliseconds interval) && {
    return std::move(with_health_check(std::move(command), interval));
  }
  GenericImage&& with_wait_for(WaitFor condition) && {
    return std::move(with_wait_for(std::move(condition)));
  }
  GenericImage&& with_startup_timeout(std::chrono::milliseconds timeout) && {
    return std::move(with_startup_timeout(timeout));
  }
  GenericImage&& with_exposer(Path path) && { return std::move(with_exposer(path)); }
  GenericImage&& with_exposer(ExposerOptions options) && {
    return std::move(with_exposer(std::move(options)));
  }
  GenericImage&& with_pull_policy(PullPolicy policy, PullProgress progress = {}) && {
    return std::move(with_pull_policy(policy, std::move(progress)));
  }
  GenericImage&& with_reuse(bool reuse = true) && { return std::move(with_reuse(reuse)); }

  /// @endcond

  /// Creates and starts a container, and returns when it meets every condition. After a failure nothing
  /// remains. Checks the whole request first. Thread-safe, on one object too. Blocks until the startup
  /// timeout at most, then for the clean-up; the first start on an engine may take 15 s more, for leftovers of
  /// dead processes and the start of the reaper. See the namespace's comment for threads.
  /// @throws Error: invalid_argument; conflict (the name or a port is taken, or the user defines the alias);
  /// not_found (the engine cannot pull the image); timed_out and failure (with the stage, and the container's
  /// last output); no_path, not_authorised, engine_unavailable, engine_error.
  [[nodiscard]] Container start() const;

  /// @private
  [[nodiscard]] const ContainerRequest& request() const noexcept { return *request_; }

 private:
  std::unique_ptr<ContainerRequest> request_;
};

}  // namespace hostnet
