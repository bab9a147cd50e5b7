// What a container is made from, told step by step.
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

/// When an image is pulled.
enum class PullPolicy : std::uint8_t {
  missing,  ///< Pull what the engine does not have.
  always,   ///< Ask the registry each time.
  never,    ///< An image that is not here is an error.
};

/// Everything that a GenericImage was told. A plain value.
struct ContainerRequest {
  /// with_mapped_port().
  struct Mapping {
    std::uint16_t host = 0;   ///< 0: the engine chooses.
    ContainerPort container;  ///< Where it leads.
  };
  /// with_copy_to(), with_copy_file_to().
  struct Copy {
    std::variant<std::string, std::filesystem::path> content;  ///< A text, or a file of this machine.
    std::string target;                                        ///< Absolute path in the container.
    unsigned mode = 0644;                                      ///< Permission bits.
  };
  /// with_health_check().
  struct HealthCheck {
    std::vector<std::string> command;          ///< Exit code 0 is health.
    std::chrono::milliseconds interval{1000};  ///< Between two runs of it.
  };

  std::string image;                                       ///< With its tag or digest.
  std::vector<ContainerPort> exposed;                      ///< with_exposed_port()
  std::vector<Mapping> mapped;                             ///< with_mapped_port()
  std::vector<HostPort> host_ports;                        ///< with_exposed_host_port()
  std::optional<std::vector<std::string>> entrypoint;      ///< nullopt: the image's.
  std::optional<std::vector<std::string>> command;         ///< nullopt: the image's.
  std::map<std::string, std::string> environment;          ///< Added to the image's.
  std::string network;                                     ///< Empty: the engine's default one.
  std::vector<std::pair<std::string, std::string>> hosts;  ///< Name, address.
  std::string name;                                        ///< Empty: the engine chooses.
  std::map<std::string, std::string> labels;               ///< with_label()
  std::vector<Copy> copies;                                ///< In the order they are written.
  std::optional<HealthCheck> health_check;                 ///< nullopt: the image's, if it has one.
  std::vector<WaitFor> wait_for;                           ///< All of them, in this order.
  std::chrono::milliseconds startup_timeout{60'000};       ///< For everything together.
  ExposerOptions exposer;                                  ///< with_exposer()
  PullPolicy pull_policy = PullPolicy::missing;            ///< with_pull_policy()
  PullProgress pull_progress;                              ///< May be empty.
  bool reuse = false;                                      ///< with_reuse()
};

/// An image and how to run it. Copyable, and each copy may be started any number of times; nothing is checked
/// or looked up before start(). Chains on an object and on a temporary:
///
///     auto container = GenericImage("nginx", "1.25").with_exposed_port(tcp(80)).start();
class HOSTNET_EXPORT GenericImage {
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
  /// Each as with_exposed_host_port(): `{8080, 5432}`.
  GenericImage& with_exposed_host_ports(std::initializer_list<std::uint16_t> ports) &;
  /// The same from a list that is made at run time.
  GenericImage& with_exposed_host_ports(std::span<const std::uint16_t> ports) &;
  /// The same with other numbers in the container: `{HostPort{8080, 80}, HostPort{5432, 15432}}`.
  GenericImage& with_exposed_host_ports(const std::vector<HostPort>& ports) &;
  /// Replaces the image's entrypoint.
  GenericImage& with_entrypoint(std::vector<std::string> words) &;
  /// Replaces the image's command; without an entrypoint its first word is the program.
  GenericImage& with_cmd(std::vector<std::string> words) &;
  /// Replaces an earlier value of that name.
  GenericImage& with_env_var(const std::string& name, std::string value) &;
  /// A network of the engine. A bridge network is made when there is none of that name, and removed when the
  /// last container that this library started on it has gone. "host", "none" and "container:<id>" are the
  /// engine's own modes.
  GenericImage& with_network(std::string name) &;
  /// An entry for the container's hosts file. "host-gateway" is an address, too.
  GenericImage& with_host(std::string name, std::string address) &;
  /// A name that no other container of the engine has. Default: the engine chooses one.
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

  /// @cond The same on a temporary.
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

  /// Makes a container, starts it, and returns when every condition is met. What fails leaves nothing behind.
  /// A request that cannot be is refused before anything is made. Thread-safe, on one object too.
  /// @throws Error: invalid_argument, conflict (the name or a port is taken, the user has defined the alias),
  /// not_found (the image, and it cannot be pulled), timed_out and failure (with the stage, and with what the
  /// container said last), no_path, not_authorised, engine_unavailable, engine_error.
  [[nodiscard]] Container start() const;

  /// All that it was told.
  [[nodiscard]] const ContainerRequest& request() const noexcept { return request_; }

 private:
  ContainerRequest request_;
};

}  // namespace hostnet
