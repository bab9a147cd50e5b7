// How the sidecar's sshd is set up, as text: its configuration and the one command string that starts it.
//
// The image runs `sh -c` on a single command string. Ours takes three files from the environment (which an
// `inspect` of the container shows to those who may command the engine, and nobody else; a command line would
// be seen by every process of the host), begins anew without those variables, starts sshd and watches over
// it: when for some time nobody is logged in, the sidecar ends by itself, whatever became of its owner.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace hostnet::ssh {

/// The address that forwards are bound to in the sidecar: every one of its networks.
inline constexpr const char* kListenAddress = "0.0.0.0";
/// The only user that can log in.
inline constexpr const char* kUser = "root";
/// sshd's own port in the sidecar, which therefore cannot be exposed.
inline constexpr std::uint16_t kPort = 22;

struct SshdSetup {
  std::string host_private_key;             ///< Key::private_text() of the host key.
  std::string client_public_key;            ///< Key::public_line() of the one key that may log in.
  std::vector<std::uint16_t> listen_ports;  ///< The only ports that it may forward, sorted.
  std::chrono::seconds lonely_limit{30};    ///< Ends after that long without a session.
};

/// sshd_config(5): public key only, remote forwards only, nothing else. Pure.
std::string sshd_config();

/// A line of authorized_keys, without its end: the key, restricted to forwarding these ports and to one
/// forced command, which marks the session as alive until it ends. sshd(8), AUTHORIZED_KEYS FILE FORMAT.
/// Pure.
std::string authorized_key(const std::string& public_line, const std::vector<std::uint16_t>& listen_ports);

/// The command, for the sidecar, that adds the line in $TC_HOSTNET_AUTHORIZED_KEY to authorized_keys unless
/// it is there: for one more key with ports of its own. sshd reads the file anew at each login. Pure.
std::string permit_command();

/// The container's environment, "NAME=value". Pure.
std::vector<std::string> sshd_environment(const SshdSetup& setup);

/// The container's command: the one argument of `sh -c`. Pure.
std::string sshd_command(const SshdSetup& setup);

/// Kernel parameters of the container's network namespace. SYN cookies are off: sshd's queue is short (128),
/// a burst of connects fills it, and a connection that a cookie stands for is forgotten when its ACK finds
/// the queue full. The client then believes to be connected and waits for ever for a service that speaks
/// first. Without cookies its SYN goes unanswered, and is sent again a second later. (ip-sysctl.rst.) Pure.
std::map<std::string, std::string> sshd_sysctls();

}  // namespace hostnet::ssh
