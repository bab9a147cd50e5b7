// Where an engine listens, how that is found, and what is needed to speak to it there.
//
// An address has to survive its process: `release` in another shell, the next command that clears away after
// one that was killed, and the reaper, speak to the very engine that a lease was made by, whatever their own
// environment says. text() is what they are given. It names the certificates' files, never their contents.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hostnet::engine {

/// How a connection over TCP is made secure. Paths of PEM files, absolute.
struct Tls {
  std::string ca;      ///< Who may have signed the engine's certificate; empty: whom the system trusts.
  std::string cert;    ///< Ours, together with its
  std::string key;     ///< key; both empty: none is shown.
  bool verify = true;  ///< The engine's certificate and its name; false only where a context says so.

  bool operator==(const Tls&) const = default;
};

/// An engine that listens on the network.
struct Tcp {
  std::string host;  ///< A name or an address, an IPv6 one without its brackets.
  std::uint16_t port = 0;
  std::optional<Tls> tls;  ///< nullopt: plain HTTP.

  /// 127.0.0.0/8, ::1 and the name localhost. That says where to dial, not whose engine it is: what listens
  /// there may be the end of a tunnel.
  [[nodiscard]] bool is_loopback() const;
  /// "http://host:port" or "https://host:port".
  [[nodiscard]] std::string url() const;

  bool operator==(const Tcp&) const = default;
};

/// Where an engine listens.
struct Address {
  std::string
      socket;  ///< Path of the Unix socket; of an engine on the network "tcp://host:port". For messages.
  std::string
      from;  ///< Where that came from, for messages: "--engine", "DOCKER_HOST", "context dev", "default".
  std::optional<Tcp> tcp = std::nullopt;  ///< Set for an engine on the network.

  /// As the docker command finds it: an explicit "unix:///path", "/path" or "tcp://host:port" first, then
  /// DOCKER_HOST, then the context named by DOCKER_CONTEXT or by `currentContext` of docker's config.json;
  /// then CONTAINER_HOST and the first of the usual sockets that exists (/run/docker.sock,
  /// /run/podman/podman.sock, $XDG_RUNTIME_DIR's). An empty variable counts as unset, as it does for docker.
  ///
  /// tcp:// that no context names goes by TLS where DOCKER_TLS_VERIFY or DOCKER_CERT_PATH is set, with
  /// ca.pem, cert.pem and key.pem of $DOCKER_CERT_PATH, or else of docker's own folder.
  /// @throws Error: invalid_argument for a malformed address, not_found for a context that is not there,
  /// engine_unavailable for ssh://, for certificates that are not there, and when no socket exists, naming
  /// what was looked at.
  static Address find(std::string_view explicit_address);

  /// What text() has written, whatever the environment says now. @throws Error{invalid_argument}
  static Address recorded(std::string_view text, std::string from);
  /// All of it but `from`: the path, or "tcp://host:port?tls=…&ca=…". find() takes it as well.
  [[nodiscard]] std::string text() const;
};

}  // namespace hostnet::engine
