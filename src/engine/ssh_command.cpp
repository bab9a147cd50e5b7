// Builds the command lines, and finds the line that matters.
#include "engine/ssh_command.hpp"

#include "core/strings.hpp"
#include "engine/parse.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace hostnet::engine {
namespace {

void add_options(std::vector<std::string>& words, std::initializer_list<std::string_view> options) {
  for (const auto option : options) {
    words.emplace_back("-o");
    words.emplace_back(option);
  }
}

void add_place(std::vector<std::string>& words, const Ssh& ssh) {
  if (!ssh.user.empty()) words.insert(words.end(), {"-l", ssh.user});
  if (ssh.port != 0) words.insert(words.end(), {"-p", std::to_string(ssh.port)});
  words.insert(words.end(), {"--", ssh.host});
}

// For both kinds of process that may log in.
void add_manners(std::vector<std::string>& words, bool may_ask) {
  if (!may_ask) add_options(words, {"BatchMode=yes"});
  add_options(words,
              {"ConnectTimeout=10", "ServerAliveInterval=3", "ServerAliveCountMax=3",
               "ClearAllForwardings=yes", "ForkAfterAuthentication=no", "RemoteCommand=none", "RequestTTY=no",
               "ForwardAgent=no", "ForwardX11=no", "Tunnel=no", "PermitLocalCommand=no", "LogLevel=ERROR"});
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// What ssh adds when a process that it started, or the other side, has said the reason before.
bool is_consequence(std::string_view line) {
  return contains(line, "UNKNOWN port 65535") || line.starts_with("kex_exchange_identification:") ||
         line.starts_with("ssh_exchange_identification:") || line.starts_with("banner exchange:") ||
         line.starts_with("mux_client_") || line.starts_with("Killed by signal") ||
         line.find_first_not_of("@ ") == std::string_view::npos;
}

}  // namespace

std::vector<std::string> ssh_master(const Ssh& ssh, const std::string& control, bool may_ask) {
  std::vector<std::string> words{"ssh", "-N", "-T"};
  add_options(words, {"ControlMaster=yes", "ControlPath=" + control, "ControlPersist=no",
                      "StreamLocalBindUnlink=yes", "StreamLocalBindMask=0177"});
  add_manners(words, may_ask);
  add_place(words, ssh);
  return words;
}

std::vector<std::string> ssh_forward(Forwarding what, const std::string& control, const std::string& local,
                                     const std::string& remote) {
  // Without ssh_config, whose own forwards for the host this would set up, too. The host's name is not used.
  return {"ssh",
          "-F",
          "/dev/null",
          "-S",
          control,
          "-O",
          what == Forwarding::begin ? "forward" : "cancel",
          "-L",
          fmt::format("{}:{}", local, remote),
          "--",
          "engine"};
}

std::vector<std::string> ssh_run(const Ssh& ssh, const std::string& control, const std::string& command) {
  std::vector<std::string> words{"ssh", "-T", "-e", "none"};
  add_options(words, {"ControlMaster=no", "ControlPath=" + control, "SessionType=default", "StdinNull=no"});
  add_manners(words, false);
  add_place(words, ssh);
  words.push_back(command);
  return words;
}

std::vector<std::string> dial_commands(const std::string& path) {
  const auto socket = shell_word("unix://" + path);
  std::vector<std::string> out{fmt::format("docker -H {} system dial-stdio", socket),
                               fmt::format("podman --url {} system dial-stdio", socket)};
  if (contains(path, "podman")) std::ranges::reverse(out);
  return out;
}

std::string forward_target(const std::string& host, std::uint16_t port) {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

std::string last_words(std::string_view standard_error) {
  std::string_view reason;
  std::string_view consequence;
  for (const auto part : split(standard_error, '\n')) {
    const auto line = trim(part);
    if (line.empty()) continue;
    (is_consequence(line) ? consequence : reason) = line;
  }
  return one_line(reason.empty() ? consequence : reason, 200);
}

Error login_error(const Address& address, std::string_view standard_error) {
  const auto where =
      fmt::format("ssh login to the container engine's machine {} ({})", address.socket, address.from);
  auto said = last_words(standard_error);
  if (said.empty()) said = "ssh ended without a word";
  const auto by_hand =
      fmt::format("try it by hand: ssh {}{}{}{} true",
                  address.ssh->user.empty() ? "" : "-l " + shell_word(address.ssh->user) + " ",
                  address.ssh->port == 0 ? "" : fmt::format("-p {} ", address.ssh->port), "-- ",
                  shell_word(address.ssh->host));
  if (contains(standard_error, "REMOTE HOST IDENTIFICATION HAS CHANGED"))
    return {
        Errc::not_authorised, fmt::format("{}: its host key is not the one in known_hosts: {}", where, said),
        "find out why it changed; if it may, remove the old one: ssh-keygen -R HOST (HostKeyAlias, if set)"};
  if (contains(standard_error, "Host key verification failed"))
    return {Errc::not_authorised, fmt::format("{}: its host key is not known: {}", where, said),
            by_hand + "; that asks and adds it to known_hosts"};
  if (contains(said, "Permission denied") || contains(said, "Too many authentication failures"))
    return {Errc::not_authorised, fmt::format("{}: {}", where, said),
            by_hand + "; without a terminal, a key must be in an agent or have no passphrase"};
  if (contains(said, "Bad configuration option") && contains(said, "forkafterauthentication"))
    return {Errc::engine_unavailable, fmt::format("{}: {}", where, said), "install OpenSSH 8.7 or later"};
  return {Errc::engine_unavailable, fmt::format("{}: {}", where, said), by_hand};
}

}  // namespace hostnet::engine
