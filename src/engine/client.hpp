// The Docker Engine API as far as it is needed here, over a Unix socket; Podman's compatible API too.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/deadline.hpp"
#include "core/ipv4.hpp"

namespace hostnet::engine {

class Transport;

/// Where an engine listens.
struct Address {
  std::string socket;  ///< Path of the Unix socket.
  std::string from;    ///< Where that came from, for messages: "--engine", "DOCKER_HOST", "default".

  /// An explicit "unix:///path" or "/path" first, then DOCKER_HOST, CONTAINER_HOST, then the first of the usual
  /// sockets that exists (/run/docker.sock, /run/podman/podman.sock, $XDG_RUNTIME_DIR's).
  /// @throws Error: invalid_argument for a malformed address, engine_unavailable for tcp:// and ssh:// (an engine
  ///         elsewhere) and when no socket exists, naming what was looked at.
  static Address find(std::string_view explicit_address);
};

struct Version {
  std::string product;      ///< "Docker Engine" or "Podman Engine", as the engine calls itself.
  std::string version;      ///< "20.10.24"
  std::string api_version;  ///< "1.41"
  [[nodiscard]] bool is_podman() const;
};

/// A network as the engine describes it.
struct Network {
  std::string id;
  std::string name;
  std::string driver;                ///< "bridge", "host", "overlay", …
  bool internal = false;
  std::string bridge;                ///< Interface name on the engine's host; empty unless the driver is bridge.
  std::optional<Ipv4> gateway;       ///< First IPv4 gateway configured; none where the network has no IPv4 gateway.
  std::vector<std::string> containers;  ///< Ids of the running containers attached to it.
};

/// A container's end of a network.
struct Endpoint {
  std::string network;     ///< Name.
  std::string network_id;
  std::optional<Ipv4> address;
  std::optional<Ipv4> gateway;
};

struct Container {
  std::string id;
  std::string name;          ///< Without the leading slash.
  bool running = false;
  pid_t pid = 0;             ///< On the engine's host; 0 unless running.
  std::string network_mode;  ///< HostConfig.NetworkMode: "bridge", "host", "none", "container:<id>", a name, …
  std::string hosts_path;    ///< The hosts file on the engine's host, may be empty.
  std::vector<std::string> extra_hosts;  ///< HostConfig.ExtraHosts, "name:address".
  std::vector<Endpoint> endpoints;       ///< Sorted by network name.
};

/// One engine. Not thread-safe. Each call is bounded by the deadline given, and throws Error:
/// engine_unavailable (no socket, nobody answers), not_authorised (EACCES on the socket), not_found (404),
/// timed_out, engine_error (an error status with the engine's own message, or an answer that makes no sense).
class Client {
 public:
  explicit Client(Address address);
  ~Client();
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  [[nodiscard]] const Address& address() const noexcept { return address_; }

  /// GET /_ping. @throws as above when nobody answers.
  void ping(Deadline deadline);
  Version version(Deadline deadline);
  Network network(std::string_view name_or_id, Deadline deadline);
  std::vector<Network> networks(Deadline deadline);
  Container container(std::string_view name_or_id, Deadline deadline);
  /// The gateway of the default bridge network, to which `host-gateway` in --add-host resolves; nullopt where the
  /// engine has no default bridge.
  std::optional<Ipv4> host_gateway(Deadline deadline);

 private:
  Address address_;
  std::unique_ptr<Transport> transport_;
};

/// The parsers behind Client, apart so that any text can be thrown at them. They throw Error{engine_error} with
/// the path of the offending field and nothing else.
Version parse_version(std::string_view json);
Network parse_network(std::string_view json);
std::vector<Network> parse_networks(std::string_view json);
Container parse_container(std::string_view json);
/// The "message" of an error body, or a shortened copy of it where it is not JSON.
std::string parse_error_message(std::string_view body);

}  // namespace hostnet::engine
