// The command lines of the OpenSSH client for an engine behind a login, and what its words mean. All functions are
// pure.
//
// The master is the one process that logs in, with the user's own ssh_config, agent, known_hosts and jump hosts.
// Everything else goes through its control socket. The options here have precedence over ssh_config:
//
//   option                           because ssh_config might
//   -------------------------------  --------------------------------------------------------------------------
//   ControlMaster, -Path, -Persist   share a master, or leave one behind
//   ClearAllForwardings              open ports of its own; here never a TCP port is opened on this machine
//   Tunnel=no                        make a network device
//   SessionType, StdinNull           run no command, or one without input
//   ForkAfterAuthentication=no       put the process in the background, where it would outlive us
//   RemoteCommand, RequestTTY        run a command that is not ours
//   ForwardAgent, ForwardX11         let the other machine use our keys or screen
//   PermitLocalCommand=no            run a command here
//   ServerAliveInterval, -CountMax   never see that the other machine is gone
//   LogLevel=ERROR                   say nothing, or too much
//   BatchMode                        ask where no one can answer
//
// The host comes after "--" and the user after "-l", so neither is taken for an option.
#pragma once

#include "engine/address.hpp"
#include "hostnet/error.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hostnet::engine {

/// The process that logs in and keeps the session. `control` is the path of its control socket; it asks for a
/// passphrase, a password or a new host's key only if `may_ask`.
std::vector<std::string> ssh_master(const Ssh& ssh, const std::string& control, bool may_ask);

/// Has the master listen at the Unix socket `local` and forward to `remote`: a socket's path there, or "host:port". Or
/// has it end that.
enum class Forwarding { begin, end };
std::vector<std::string> ssh_forward(Forwarding what, const std::string& control, const std::string& local,
                                     const std::string& remote);

/// Runs a command there, in the master's session, or by a login of its own if the server allows no more sessions in one.
std::vector<std::string> ssh_run(const Ssh& ssh, const std::string& control, const std::string& command);

/// The shell commands that join their standard streams with the engine's socket, in the order to try.
std::vector<std::string> dial_commands(const std::string& path);

/// "127.0.0.1:22", "[::1]:22".
std::string forward_target(const std::string& host, std::uint16_t port);

/// The line of ssh's standard error that says why it ended: printable, at most 200 bytes. Empty if there is none.
std::string last_words(std::string_view standard_error);

/// Why the login failed.
Error login_error(const Address& address, std::string_view standard_error);

}  // namespace hostnet::engine
