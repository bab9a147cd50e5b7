// The engine's address ssh://[user@]host[:port][/path]: an engine on a machine that the user logs in to.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hostnet::engine {

/// An engine reached by the user's own OpenSSH client.
struct Ssh {
  std::string user;  ///< Empty: as ssh chooses.
  std::string host;  ///< As ssh knows it: a name, an address, or a Host of ssh_config; IPv6 without brackets.
  std::uint16_t port = 0;  ///< 0: as ssh chooses.
  std::string path;        ///< Of the engine's socket on that machine.

  /// "ssh://user@host:port", for messages.
  [[nodiscard]] std::string name() const;
  /// name() with the path; parse_ssh() reads it.
  [[nodiscard]] std::string text() const;

  bool operator==(const Ssh&) const = default;
};

/// The usual socket of Docker on its machine, and of root's Podman.
inline constexpr std::string_view kDockerSocketThere = "/var/run/docker.sock";
inline constexpr std::string_view kPodmanSocketThere = "/run/podman/podman.sock";

/// Reads what follows "ssh://"; `usual` is the path if there is none. User and path may be percent-encoded. Pure.
/// @throws Error{invalid_argument}, only with why it is malformed: "it names no host".
Ssh parse_ssh(std::string_view rest, std::string_view usual);

}  // namespace hostnet::engine
