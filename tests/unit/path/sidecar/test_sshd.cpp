// What the sidecar's sshd is told, as text.
#include "path/sidecar/sshd.hpp"

#include <doctest/doctest.h>

#include <string_view>

using namespace hostnet::ssh;

namespace {

bool has_line(const std::string& text, std::string_view line) {
  return ("\n" + text).find("\n" + std::string(line) + "\n") != std::string::npos;
}

const SshdSetup kWholeSetup{.host_private_key = "-----BEGIN KEY-----\nx y\n-----END KEY-----\n",
                            .client_public_key = "ssh-ed25519 AAAA",
                            .listen_ports = {80, 5432},
                            .lonely_limit = std::chrono::seconds{7}};

}  // namespace

TEST_CASE("sshd listens for nobody but its clients, where they say") {
  CHECK(has_line(sshd_config(), "AllowTcpForwarding remote"));
  CHECK(has_line(sshd_config(), "GatewayPorts clientspecified"));
}

TEST_CASE("sshd lets in by key only") {
  const auto config = sshd_config();
  for (const auto* line : {"Port 22", "AuthenticationMethods publickey", "PasswordAuthentication no",
                           "KbdInteractiveAuthentication no", "PermitRootLogin prohibit-password",
                           "AllowUsers root", "PermitTTY no", "AllowStreamLocalForwarding no",
                           "AllowAgentForwarding no", "X11Forwarding no", "PermitTunnel no", "MaxSessions 1"})
    CHECK_MESSAGE(has_line(config, line), line);
}

TEST_CASE("sshd notices a client that is gone") {
  CHECK(has_line(sshd_config(), "ClientAliveInterval 2"));
  CHECK(has_line(sshd_config(), "ClientAliveCountMax 2"));
}

TEST_CASE("a key may forward its ports and run the one command that marks its session") {
  const auto line = authorized_key("ssh-ed25519 AAAA", {80, 5432});
  CHECK(
      line.starts_with("restrict,port-forwarding,permitlisten=\"*:80\",permitlisten=\"*:5432\","
                       "command=\""));
  CHECK(line.ends_with("\" ssh-ed25519 AAAA"));
  CHECK(line.find('\n') == std::string::npos);
  CHECK(authorized_key("ssh-ed25519 AAAA", {}).starts_with("restrict,command=\""));
}

TEST_CASE("the environment carries the files, one variable each") {
  const auto environment = sshd_environment(kWholeSetup);
  REQUIRE(environment.size() == 3);
  CHECK(environment[0] == "TC_HOSTNET_HOST_KEY=" + kWholeSetup.host_private_key);
  CHECK(environment[1] ==
        "TC_HOSTNET_AUTHORIZED_KEYS=" + authorized_key("ssh-ed25519 AAAA", {80, 5432}) + "\n");
  CHECK(environment[2] == "TC_HOSTNET_SSHD_CONFIG=" + sshd_config());
}

TEST_CASE("the command tells no secret, forgets the variables and watches over the sessions") {
  const auto command = sshd_command(kWholeSetup);
  CHECK(command.find("KEY-----") == std::string::npos);
  CHECK(command.find("AAAA") == std::string::npos);
  const auto unset =
      command.find("unset TC_HOSTNET_HOST_KEY TC_HOSTNET_AUTHORIZED_KEYS TC_HOSTNET_SSHD_CONFIG");
  const auto anew = command.find("exec sh -c '");
  REQUIRE(unset != std::string::npos);
  REQUIRE(anew != std::string::npos);
  CHECK(unset < anew);
  CHECK(command.find("/usr/sbin/sshd -D") > anew);
  CHECK(command.find("[ $lonely -lt 7 ]") != std::string::npos);
}
