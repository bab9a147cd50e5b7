// Engine addresses: where an engine listens, how the address is found, and the TLS files it needs.
//
// An address outlives its process: `release` in another shell, the cleanup after a killed command, and the
// reaper must reach the engine that the lease was made with, whatever their own environment says. They get
// text(), which holds the paths of the certificates, never their contents.
#pragma once

#include "engine/ssh_url.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hostnet::engine {

/// TLS settings of a TCP connection. Absolute paths of PEM files.
struct Tls {
  std::string ca;      ///< CAs that may sign the engine's certificate; empty: the system's CAs.
  std::string cert;    ///< Our client certificate and
  std::string key;     ///< its key; both empty: none is sent.
  bool verify = true;  ///< Verify the engine's certificate and host name; only a context can turn it off.

  bool operator==(const Tls&) const = default;
};

/// An engine that listens on the network.
struct Tcp {
  std::string host;  ///< A name or an address; IPv6 without brackets.
  std::uint16_t port = 0;
  std::optional<Tls> tls;  ///< nullopt: plain HTTP.

  /// 127.0.0.0/8, ::1 and the name localhost. This says where to dial, not which machine the engine runs on:
  /// the listener may be the end of a tunnel.
  [[nodiscard]] bool is_loopback() const;
  /// "http://host:port" or "https://host:port".
  [[nodiscard]] std::string url() const;

  bool operator==(const Tcp&) const = default;
};

/// Where an engine listens.
struct Address {
  /// Path of the Unix socket. For an engine elsewhere "tcp://host:port" or "ssh://user@host", in messages only.
  std::string socket;
  /// Source of the address, for messages: "--engine", "DOCKER_HOST", "context dev", "default".
  std::string from;
  std::optional<Tcp> tcp = std::nullopt;  ///< Set for an engine on the network.
  std::optional<Ssh> ssh = std::nullopt;  ///< Set for an engine behind a login.

  /// A Unix socket of this machine.
  [[nodiscard]] bool is_unix() const noexcept { return !tcp && !ssh; }

  /// Finds the engine as the docker command does. The first match wins; an empty variable counts as unset.
  ///
  ///   1. explicit_address: "unix:///path", "/path", "tcp://host:port" or "ssh://user@host"
  ///   2. DOCKER_HOST
  ///   3. the context named by DOCKER_CONTEXT, else by `currentContext` in docker's config.json
  ///   4. CONTAINER_HOST
  ///   5. the first socket that exists: /run/docker.sock, /run/podman/podman.sock, then docker.sock and
  ///      podman/podman.sock in $XDG_RUNTIME_DIR
  ///
  /// A tcp:// address that comes from no context uses TLS if DOCKER_TLS_VERIFY or DOCKER_CERT_PATH is set,
  /// with ca.pem, cert.pem and key.pem from $DOCKER_CERT_PATH, else from docker's own folder.
  /// @throws Error: invalid_argument for a malformed address, not_found for an unknown context,
  /// engine_unavailable for missing certificates, and when no socket exists (the message lists
  /// the paths tried).
  static Address find(std::string_view explicit_address);

  /// Reads what text() wrote; ignores the environment. @throws Error{invalid_argument}
  static Address recorded(std::string_view text, std::string from);
  /// Everything except `from`: the path, "tcp://host:port?tls=…&ca=…" or "ssh://user@host/path". find() accepts it too.
  [[nodiscard]] std::string text() const;
};

}  // namespace hostnet::engine
