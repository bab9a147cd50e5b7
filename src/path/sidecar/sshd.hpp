// The text that sets up the sidecar's sshd: its configuration, and the command string that starts it.
//
// The image runs `sh -c` on a single command string. Ours takes three files from the environment (`inspect`
// shows it only to users of the engine, while every process of the host could see a command line), restarts
// the shell without those variables, starts sshd and monitors it: after lonely_limit without a session the
// sidecar ends by itself, whatever happened to its owner.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace hostnet::ssh {

/// The address that forwards are bound to in the sidecar: all of its addresses of both families, since the
/// engine's DNS may answer with either (RFC 4254 section 7.1: the empty string; OpenSSH takes "*" for the same
/// in a request and in permitlisten).
inline constexpr const char* kListenAddress = "*";
/// The only user that can log in.
inline constexpr const char* kUser = "root";
/// sshd's own port in the sidecar, which therefore cannot be exposed.
inline constexpr std::uint16_t kPort = 22;

struct SshdSetup {
  std::string host_private_key;             ///< Key::private_text() of the host key.
  std::string client_public_key;            ///< Key::public_line() of the one key that may log in.
  std::vector<std::uint16_t> listen_ports;  ///< The only ports that it may forward, sorted.
  std::chrono::seconds lonely_limit{30};    ///< The sidecar ends after that long without a session.
};

/// sshd_config(5): public key only, remote forwards only, nothing else. Pure.
std::string sshd_config();

/// A line of authorized_keys, without its end: the key, restricted to forwarding these ports and to one
/// forced command, which marks the session as alive until it ends. sshd(8), AUTHORIZED_KEYS FILE FORMAT.
/// Pure.
std::string authorized_key(const std::string& public_line, const std::vector<std::uint16_t>& listen_ports);

/// The sidecar's command that adds the line in $TC_HOSTNET_AUTHORIZED_KEY to authorized_keys, unless it is
/// there: for one more key with ports of its own. sshd reads the file at each login. Pure.
std::string permit_command();

/// The container's environment, "NAME=value". Pure.
std::vector<std::string> sshd_environment(const SshdSetup& setup);

/// The container's command: the one argument of `sh -c`. Pure.
std::string sshd_command(const SshdSetup& setup);

/// A command in the running sidecar that serves one session on its standard input and output, as the same sshd.
/// Pure.
std::vector<std::string> session_command();

/// Kernel parameters of the container's network namespace. SYN cookies are off: a burst of connects fills
/// sshd's short queue (128), and the kernel forgets a connection that a cookie stands for when its ACK finds
/// the queue full. The client then believes that it is connected and waits forever for a service that speaks
/// first. Without cookies its SYN gets no answer, and the client repeats it a second later. (ip-sysctl.rst.)
/// Pure.
std::map<std::string, std::string> sshd_sysctls();

}  // namespace hostnet::ssh
