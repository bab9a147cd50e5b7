// The Docker Engine API as far as it is needed here, over a Unix socket or TCP; Podman's compatible API too.
#pragma once

#include "core/deadline.hpp"
#include "core/ipv4.hpp"
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
  std::string product;  ///< "Podman Engine"; else what Docker calls its platform, "Docker Engine" if nothing.
  std::string version;  ///< "20.10.24"
  std::string api_version;  ///< "1.41"
  [[nodiscard]] bool is_podman() const;
};

/// A network as the engine describes it.
struct Network {
  std::string id;
  std::string name;
  std::string driver;  ///< "bridge", "host", "overlay", …
  bool internal = false;
  bool dns = false;    ///< Its containers find each other by name.
  std::string bridge;  ///< Interface name on the engine's host; empty unless the driver is bridge.
  /// First IPv4 gateway configured. None where the network has no IPv4, and also where Docker chose the
  /// gateway for a subnet that somebody gave (`--subnet` without `--gateway`): the bridge has an address
  /// then, and Docker does not tell it here. A container's Endpoint has it, and so has the interface itself.
  std::optional<Ipv4> gateway;
  /// Ids of the running containers attached to it, sorted. Docker fills it for one network(), never in
  /// networks().
  std::vector<std::string> containers;
};

/// A container's end of a network.
struct Endpoint {
  std::string network;     ///< Name. Podman's default network is "podman" here, whatever networks() calls it.
  std::string network_id;  ///< Podman before 5 repeats the name.
  std::optional<Ipv4> address;  ///< None unless the container runs.
  std::optional<Ipv4> gateway;
  std::string mac;  ///< "02:42:c6:12:00:02"; empty unless the container runs.
};

/// A container's port that the engine made reachable on its host.
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
  std::string image;  ///< As it was asked for, "alpine:3.19"; Podman completes it: "localhost/alpine:3.19".
  std::string state;  ///< "created", "running", "stopping", "paused", "restarting", "exited", …
  int exit_code = 0;  ///< Of its last run; 0 before and during the first.
  /// Has a process now: also while it is paused or asked to stop, but not between two restarts.
  bool running = false;
  std::string health;  ///< "starting", "healthy" or "unhealthy"; empty where nothing checks it.
  pid_t pid = 0;       ///< On the engine's host; 0 unless running.
  /// HostConfig.NetworkMode: "bridge", "host", "none", "container:<id>", a name, … Podman says "bridge" for
  /// every bridge network, so that names come from `endpoints`.
  std::string network_mode;
  std::string hosts_path;  ///< The hosts file on the engine's host, may be empty.
  bool hosts_mounted =
      false;  ///< The user mounted a file of their own at /etc/hosts; `hosts_path` may be that one.
  std::vector<std::string> extra_hosts;  ///< HostConfig.ExtraHosts, "name:address".
  std::vector<Endpoint> endpoints;       ///< Sorted by network name.
  std::vector<PublishedPort> ports;      ///< One for each address of the host; empty unless it runs (Podman
                                         ///< knows them before).
  std::map<std::string, std::string> labels;
  std::string stop_signal;  ///< "SIGQUIT", "3"; empty: SIGTERM.
  std::string image_id;     ///< Of the very image it was made from, whatever `image` names by now.
};

/// One engine. Not thread-safe. Each call is bounded by the deadline given, and throws Error:
/// engine_unavailable (no socket, nobody answers, no TLS with it), not_authorised (EACCES on the socket, no
/// certificate that it takes), not_found (404,
/// with the engine's own words), conflict (409, likewise), timed_out, engine_error (an error status with the
/// engine's own message, or an answer that makes no sense), invalid_argument (an empty name).
class Client {
 public:
  /// Connects at the first call. @throws Error: invalid_argument for a path longer than a Unix socket's
  /// address, engine_unavailable where libcurl is not installed.
  explicit Client(Address address);
  ~Client();
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  [[nodiscard]] const Address& address() const noexcept { return address_; }

  /// The IPv4 address at which an engine on the network has answered last; nullopt for a Unix socket, before
  /// the first answer, and where it was by IPv6.
  [[nodiscard]] std::optional<Ipv4> peer() const;

  /// GET /_ping. @throws as above when nobody answers.
  void ping(Deadline deadline);
  Version version(Deadline deadline);
  Network network(std::string_view name_or_id, Deadline deadline);
  std::vector<Network> networks(Deadline deadline);
  Container container(std::string_view name_or_id, Deadline deadline);
  /// What the engine says of it, whole: JSON.
  std::string container_json(std::string_view name_or_id, Deadline deadline);
  /// All that happens to containers from `since` on, in seconds since the epoch.
  EventStream events(std::int64_t since, Deadline deadline);
  /// The labels that an image gives to the containers made from it.
  std::map<std::string, std::string> image_labels(std::string_view name_or_id, Deadline deadline);
  /// Whether it is Podman, as its answers' headers tell.
  bool is_podman(Deadline deadline) { return !dialect(deadline).libpod.empty(); }
  /// Why it is not to be taken for an engine of this machine's root, or of our own: it listens on the
  /// network, or its Unix socket is, or may be made, another user's (engine/unix_socket.hpp). To be put after
  /// its address; nullopt where nothing speaks against it. What such an engine says of processes, paths and
  /// bridges is never acted upon here. Once found it stays so for this Client.
  std::optional<std::string> why_remote(Deadline deadline);
  /// Whether it is a process of root's that listens on its Unix socket.
  bool is_roots(Deadline deadline);
  /// Whether it runs without root's privileges, its networks hence in a namespace of its own.
  bool is_rootless(Deadline deadline);
  /// The gateway of the default bridge network, to which Docker resolves `host-gateway` in --add-host (unless
  /// its daemon was started with --host-gateway-ip, which no call tells); nullopt where there is no default
  /// bridge.
  std::optional<Ipv4> host_gateway(Deadline deadline);

 private:
  // Their calls go over the same connection, in the same dialect.
  friend class Containers;
  friend class Networks;

  // What the engine speaks, learnt from the headers of its first answer.
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
};

}  // namespace hostnet::engine
