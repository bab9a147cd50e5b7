// The calls of the Docker Engine API that we use, over a Unix socket or TCP. Also for Podman's compatible
// API. Versions, states and timeouts: client.cpp.
#pragma once

#include "core/deadline.hpp"
#include "core/ip.hpp"
#include "engine/address.hpp"

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::engine {

class EventStream;
struct Response;
class Transport;

struct Version {
  std::string product;      ///< "Podman Engine", else Docker's platform name, else "Docker Engine".
  std::string version;      ///< "20.10.24"
  std::string api_version;  ///< "1.41"
  [[nodiscard]] bool is_podman() const;
};

/// A network as the engine describes it.
struct Network {
  std::string id;
  std::string name;
  std::string driver;  ///< "bridge", "host", "overlay", …
  bool internal = false;
  bool ingress = false;    ///< Swarm's own routing mesh: no container can join it.
  bool attachable = true;  ///< Containers can join it; false for a swarm's network without --attachable.
  bool ipv4 = true;        ///< false if all its subnets are IPv6.
  bool dns = false;        ///< Its containers resolve each other's names.
  std::string bridge;      ///< Interface name on the engine's host; empty for any driver but bridge.
  /// First configured IPv4 gateway. nullopt for a network without IPv4, and where Docker chose the gateway of
  /// a subnet that the user gave (`--subnet` without `--gateway`): the bridge then has an address that Docker
  /// does not report here. Take it from a container's Endpoint or from the interface.
  std::optional<Ipv4> gateway;
  /// Ids of the running containers attached to it, sorted. Docker fills this in network(), not in networks().
  std::vector<std::string> containers;
  const char* command = "docker";    ///< As of Container.
  std::vector<Subnet> subnets = {};  ///< As configured.
};

/// A container's end of a network.
struct Endpoint {
  std::string network;     ///< Name. Podman's default network is "podman" here, also if networks() differs.
  std::string network_id;  ///< Podman before 5 repeats the name.
  std::optional<Ipv4> address;  ///< None unless the container runs.
  std::optional<Ipv4> gateway;
  std::string mac;             ///< "02:42:c6:12:00:02"; empty unless the container runs.
  std::optional<Ip> address6;  ///< Its global IPv6 address; nullopt on a network without IPv6.
  std::int64_t priority = 0;   ///< Docker's GwPriority (28 and later): the highest has the default route.

  /// Its IPv4 and IPv6 addresses, as far as it has them.
  [[nodiscard]] std::vector<Ip> addresses() const;
};

/// A container port published on the engine's host.
struct PublishedPort {
  std::uint16_t container = 0;
  std::string protocol;    ///< "tcp", "udp" or "sctp".
  std::string host_ip;     ///< "127.0.0.1"; "0.0.0.0", "::" or empty for every address.
  std::uint16_t host = 0;  ///< On host_ip; never 0.

  bool operator==(const PublishedPort&) const = default;
};

struct Container {
  std::string id;
  std::string name;   ///< Without the leading slash.
  std::string image;  ///< As requested, "alpine:3.19"; Podman completes it: "localhost/alpine:3.19".
  std::string state;  ///< "created", "running", "stopping", "paused", "restarting", "exited", …
  int exit_code = 0;  ///< Of the last run; 0 before and during the first.
  /// It has a process now: true also while it is paused or stopping, false between two restarts.
  bool running = false;
  std::string health;  ///< "starting", "healthy" or "unhealthy"; empty without a health check.
  pid_t pid = 0;       ///< On the engine's host; 0 unless running.
  /// HostConfig.NetworkMode: "bridge", "host", "none", "container:<id>", a name, … Podman reports "bridge"
  /// for every bridge network, so take names from `endpoints`.
  std::string network_mode;
  std::string pid_mode = {};  ///< HostConfig.PidMode: "host"; "" or "private"; "container:<id>".
  std::string hosts_path;     ///< The hosts file on the engine's host; may be empty.
  /// The user mounted a file at /etc/hosts; `hosts_path` may be that file.
  bool hosts_mounted = false;
  std::vector<std::string> extra_hosts;  ///< HostConfig.ExtraHosts, "name:address".
  std::vector<Endpoint> endpoints;       ///< Sorted by network name.
  /// One for each host address. Docker reports none until the container runs; Podman reports them before.
  std::vector<PublishedPort> ports;
  std::vector<std::uint16_t> exposed_ports =
      {};  ///< TCP ports of its image's EXPOSE, --expose and --publish.
  std::map<std::string, std::string> labels;
  std::string stop_signal;  ///< "SIGQUIT", "3"; empty: SIGTERM.
  std::string image_id;     ///< Of the image that it was made from; `image` may name another one by now.
  const char* command = "docker";  ///< The engine's own command, for hints: "docker" or "podman".
  std::string hostname = {};       ///< As it was given at the creation.
};

/// The container of an engine in which this process runs (engine/own_container.hpp).
struct OwnContainer {
  std::string id;
  std::string name;
  bool host_network = false;        ///< This process's network is that of the engine's host.
  bool same_pids = false;           ///< The engine's process ids mean the same processes here.
  std::vector<Endpoint> endpoints;  ///< Of this process's network, also of one shared with another container.
};

/// One engine. Not thread-safe. Each call ends by its deadline.
/// @throws Error: engine_unavailable (no socket, no listener, TLS fails), not_authorised (EACCES on the
/// socket, no client certificate that the engine accepts), not_found (404, with the engine's message),
/// conflict (409, likewise), timed_out, engine_error (another error status, with the engine's message, or an
/// invalid answer), invalid_argument (an empty name).
class Client {
 public:
  /// Connects at the first call. @throws Error: invalid_argument for a path too long for a Unix socket,
  /// engine_unavailable if libcurl is not installed.
  explicit Client(Address address);
  ~Client();
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  [[nodiscard]] const Address& address() const noexcept { return address_; }

  /// The IPv4 address of the last answer from an engine on the network; nullopt for a Unix socket, for IPv6,
  /// and before the first answer.
  [[nodiscard]] std::optional<Ipv4> peer() const;

  /// GET /_ping. @throws Error as above, engine_error when the answer is not from a container engine.
  void ping(Deadline deadline);
  Version version(Deadline deadline);
  Network network(std::string_view name_or_id, Deadline deadline);
  std::vector<Network> networks(Deadline deadline);
  Container container(std::string_view name_or_id, Deadline deadline);
  /// The engine's whole description of the container, as JSON.
  std::string container_json(std::string_view name_or_id, Deadline deadline);
  /// All container events from `since` on, in seconds since the epoch.
  EventStream events(std::int64_t since, Deadline deadline);
  /// The labels that containers inherit from the image.
  std::map<std::string, std::string> image_labels(std::string_view name_or_id, Deadline deadline);
  /// Whether the engine is Podman, by the headers of its answers.
  bool is_podman(Deadline deadline) { return !dialect(deadline).libpod.empty(); }
  /// The engine's own command, for hints: "docker" or "podman".
  const char* command(Deadline deadline) { return is_podman(deadline) ? "podman" : "docker"; }
  /// Why the engine does not count as one of root's or our own on this machine: it listens on the network, or
  /// its Unix socket is or can become another user's (engine/unix_socket.hpp), or it runs this process in a
  /// container, where its process ids mean other processes. A clause that follows the engine's address in a message; nullopt if there is no reason. We never act upon what such an engine
  /// reports about processes, paths and bridges. A reason, once found, stays for the life of this Client.
  std::optional<std::string> why_remote(Deadline deadline);
  /// The container of this engine in which this process runs; nullopt if in none. Asked once. @throws Error.
  const std::optional<OwnContainer>& own_container(Deadline deadline);
  /// Whether a root process listens on the Unix socket; false over TCP.
  bool is_roots(Deadline deadline);
  /// Whether the engine is rootless, which puts its networks into a namespace of their own.
  bool is_rootless(Deadline deadline);
  /// Whether SELinux keeps the engine's containers from what is bound into them.
  bool has_selinux(Deadline deadline);
  /// The gateway of the default bridge network, which Docker gives for `host-gateway` in --add-host unless
  /// the daemon runs with --host-gateway-ip (no call reports that). nullopt without a default bridge.
  std::optional<Ipv4> host_gateway(Deadline deadline);

 private:
  // They share the connection and the dialect.
  friend class Containers;
  friend class Images;
  friend class Networks;

  // API paths, from the headers of the answer to /_ping.
  struct Dialect {
    std::string docker;  // path prefix of the Docker API, "/v1.41"
    std::string libpod;  // path prefix of Podman's own API, "/v4.3.1/libpod"; empty for Docker
  };
  const Dialect& dialect(Deadline deadline);
  Response inspect(std::string_view name_or_id, Deadline deadline);
  template <class Parser>
  auto fetch(const std::string& path, Deadline deadline, Parser parse);

  Address address_;
  std::unique_ptr<Transport> transport_;
  std::optional<Dialect> dialect_;
  std::optional<std::optional<OwnContainer>> own_container_;  // once asked
};

}  // namespace hostnet::engine
