// What a container is made from, told step by step.
#pragma once

#include "hostnet/exposer.hpp"
#include "hostnet/path.hpp"
#include "hostnet/port.hpp"
#include "hostnet/wait_for.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace hostnet {

class Container;

/// One line of a pull's progress; called from the thread that called start().
using PullProgress = std::function<void(std::string_view line)>;

enum class PullPolicy : std::uint8_t {
  missing,  ///< Pull what the engine does not have.
  always,   ///< Ask the registry each time.
  never,    ///< An image that is not here is an error.
};

/// Everything that a GenericImage was told. A plain value.
struct ContainerRequest {
  struct Mapping {
    std::uint16_t host = 0;
    ContainerPort container;
  };
  struct Copy {
    std::variant<std::string, std::filesystem::path> content;  ///< A text, or a file of this machine.
    std::string target;                                        ///< Absolute path in the container.
    unsigned mode = 0644;                                      ///< Permission bits.
  };
  struct HealthCheck {
    std::vector<std::string> command;
    std::chrono::milliseconds interval{1000};
  };

  std::string image;
  std::vector<ContainerPort> exposed;
  std::vector<Mapping> mapped;
  std::vector<HostPort> host_ports;
  std::optional<std::vector<std::string>> entrypoint;
  std::optional<std::vector<std::string>> command;
  std::map<std::string, std::string> environment;
  std::string network;
  std::vector<std::pair<std::string, std::string>> hosts;  ///< Name, address.
  std::string name;
  std::map<std::string, std::string> labels;
  std::vector<Copy> copies;
  std::optional<HealthCheck> health_check;
  std::vector<WaitFor> wait_for;
  std::chrono::milliseconds startup_timeout{60'000};
  ExposerOptions exposer;
  PullPolicy pull_policy = PullPolicy::missing;
  PullProgress pull_progress;
  bool reuse = false;
};

/// An image and how to run it. Copyable, and each copy may be started any number of times; nothing is checked
/// or looked up before start(). Chains on an object and on a temporary:
///
///     auto container = GenericImage("nginx", "1.25").with_exposed_port(tcp(80)).start();
class GenericImage {
 public:
  /// "nginx", "registry.example:5000/team/app"; the tag may be a digest ("sha256:…").
  explicit GenericImage(const std::string& name, const std::string& tag = "latest");

  /// A port of the container that the host shall reach, by get_host_port_ipv4() and get_host_port_ipv6().
  GenericImage& with_exposed_port(ContainerPort port) &;
  /// The same under a port number of the host that the caller chooses; 0: the engine chooses.
  GenericImage& with_mapped_port(std::uint16_t host, ContainerPort port) &;
  /// A TCP service on the host's 127.0.0.1:`port` is reachable in the container as
  /// host.testcontainers.internal:`port`, from its first instruction until it has stopped.
  GenericImage& with_exposed_host_port(std::uint16_t port) &;
  /// The same, with another number in the container, UDP, or a Unix socket of the host.
  GenericImage& with_exposed_host_port(HostPort port) &;
  GenericImage& with_exposed_host_ports(std::initializer_list<std::uint16_t> ports) &;
  GenericImage& with_exposed_host_ports(std::span<const std::uint16_t> ports) &;
  GenericImage& with_exposed_host_ports(const std::vector<HostPort>& ports) &;
  GenericImage& with_entrypoint(std::vector<std::string> words) &;
  GenericImage& with_cmd(std::vector<std::string> words) &;
  /// Replaces an earlier value of that name.
  GenericImage& with_env_var(const std::string& name, std::string value) &;
  /// A network of the engine. A bridge network is made when there is none of that name, and removed when the
  /// last container that this library started on it has gone. "host", "none" and "container:<id>" are the
  /// engine's own modes.
  GenericImage& with_network(std::string name) &;
  /// An entry for the container's hosts file. "host-gateway" is an address, too.
  GenericImage& with_host(std::string name, std::string address) &;
  GenericImage& with_container_name(std::string name) &;
  /// Labels that begin with "org.testcontainers" are the library's own.
  GenericImage& with_label(const std::string& name, std::string value) &;
  /// Puts a text into a file of the container before it starts. Folders on the way are made.
  GenericImage& with_copy_to(std::string target, std::string content, unsigned mode = 0644) &;
  /// The same with a file of this machine, which is read by start().
  GenericImage& with_copy_file_to(std::string target, std::filesystem::path source, unsigned mode = 0644) &;
  /// A command in the container that tells its health, run every `interval` by the engine.
  GenericImage& with_health_check(std::vector<std::string> command, std::chrono::milliseconds interval) &;
  /// Adds a condition; start() returns when all are met, each waited for in this order.
  GenericImage& with_wait_for(WaitFor condition) &;
  /// For all that start() does, pulling included: one deadline. Default: 60 s.
  GenericImage& with_startup_timeout(std::chrono::milliseconds timeout) &;
  /// By which path host ports are exposed. Default: automatic.
  GenericImage& with_exposer(Path path) &;
  /// The same with the engine, the runtime directory and the rest. The engine named here is the container's.
  GenericImage& with_exposer(ExposerOptions options) &;
  /// Default: PullPolicy::missing, without a report.
  GenericImage& with_pull_policy(PullPolicy policy, PullProgress progress = {}) &;
  /// The container is left running when its object goes, and the next start() of an equal description finds
  /// it again. Nothing removes it but a person. Not with exposed host ports.
  GenericImage& with_reuse(bool reuse = true) &;

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

  /// Makes a container, starts it, and returns when every condition is met. What fails leaves nothing behind.
  /// A request that cannot be is refused before anything is made. Thread-safe, on one object too.
  /// @throws Error: invalid_argument, conflict (the name or a port is taken, the user has defined the alias),
  /// not_found (the image, and it cannot be pulled), timed_out and failure (with the stage, and with what the
  /// container said last), no_path, not_authorised, engine_unavailable, engine_error.
  [[nodiscard]] Container start() const;

  [[nodiscard]] const ContainerRequest& request() const noexcept { return request_; }

 private:
  ContainerRequest request_;
};

}  // namespace hostnet
