// The sshd's configuration, keys and start script.
#include "path/sidecar/sshd.hpp"

#include <fmt/format.h>

namespace hostnet::ssh {

std::string sshd_config() {
  // StrictModes would refuse a key below a world-writable /run, a tmpfs's default; only root lives in there.
  // ClientAlive: the ports of a client that is cut off silently are free within some ten seconds, so that it
  // can bind them again.
  return fmt::format(
      "Port {}\n"
      "AddressFamily any\n"
      "HostKey /run/tc-hostnet/host_key\n"
      "AuthorizedKeysFile /run/tc-hostnet/authorized_keys\n"
      "StrictModes no\n"
      "AuthenticationMethods publickey\n"
      "PasswordAuthentication no\n"
      "KbdInteractiveAuthentication no\n"
      "PermitRootLogin prohibit-password\n"
      "AllowUsers {}\n"
      "AllowTcpForwarding remote\n"
      "GatewayPorts clientspecified\n"
      "AllowStreamLocalForwarding no\n"
      "AllowAgentForwarding no\n"
      "X11Forwarding no\n"
      "PermitTunnel no\n"
      "PermitTTY no\n"
      "PermitUserRC no\n"
      "MaxSessions 1\n"
      "LoginGraceTime 10\n"
      "ClientAliveInterval 2\n"
      "ClientAliveCountMax 2\n"
      "Compression no\n"
      "UseDNS no\n"
      "PrintMotd no\n"
      "PidFile none\n",
      kPort, kUser);
}

std::string authorized_key(const std::string& public_line, const std::vector<std::uint16_t>& listen_ports) {
  std::string out = "restrict";
  if (!listen_ports.empty()) out += ",port-forwarding";
  for (const auto port : listen_ports) out += fmt::format(",permitlisten=\"{}:{}\"", kListenAddress, port);
  return out +
         fmt::format(",command=\"f=/run/tc-hostnet/session.$$;:>$f;cat>/dev/null;rm -f $f\" {}", public_line);
}

std::string permit_command() {
  return R"sh(f=/run/tc-hostnet/authorized_keys
grep -qxF "$TC_HOSTNET_AUTHORIZED_KEY" $f || printf '%s\n' "$TC_HOSTNET_AUTHORIZED_KEY" >>$f)sh";
}

std::vector<std::string> sshd_environment(const SshdSetup& setup) {
  return {fmt::format("TC_HOSTNET_HOST_KEY={}", setup.host_private_key),
          fmt::format("TC_HOSTNET_AUTHORIZED_KEYS={}\n",
                      authorized_key(setup.client_public_key, setup.listen_ports)),
          fmt::format("TC_HOSTNET_SSHD_CONFIG={}", sshd_config())};
}

std::vector<std::string> session_command() {
  return {"/usr/sbin/sshd", "-i", "-e", "-f", "/run/tc-hostnet/sshd_config"};
}

std::map<std::string, std::string> sshd_sysctls() { return {{"net.ipv4.tcp_syncookies", "0"}}; }

std::string sshd_command(const SshdSetup& setup) {
  // /proc shows the environment that a program was started with, even what it has unset since: so the shell
  // that writes the files becomes one without those variables. When sshd ends by itself, two seconds remain
  // to ask why: the engine deletes a container's output with the container. Some images lock root's account
  // altogether ("!"), which forbids keys, too; "*" forbids only passwords.
  return fmt::format(
      R"sh(umask 077; d=/run/tc-hostnet; mkdir -p $d /run/sshd /var/empty
printf %s "$TC_HOSTNET_HOST_KEY" >$d/host_key
printf %s "$TC_HOSTNET_AUTHORIZED_KEYS" >$d/authorized_keys
printf %s "$TC_HOSTNET_SSHD_CONFIG" >$d/sshd_config
unset TC_HOSTNET_HOST_KEY TC_HOSTNET_AUTHORIZED_KEYS TC_HOSTNET_SSHD_CONFIG USERNAME PASSWORD
chmod 755 /run/sshd /var/empty; rm -f $d/session.*
sed -i 's/^root:!/root:*/' /etc/shadow
exec sh -c '
d=/run/tc-hostnet
/usr/sbin/sshd -D -e -f $d/sshd_config & sshd=$!
trap "kill $sshd; exit" TERM INT
lonely=0
while kill -0 $sshd && [ $lonely -lt {0} ]; do
  sleep 1
  set -- $d/session.*
  if [ -e "$1" ]; then lonely=0; else lonely=$((lonely+1)); fi
done 2>/dev/null
kill $sshd
wait $sshd
[ $lonely -ge {0} ] || sleep 2')sh",
      setup.lonely_limit.count());
}

}  // namespace hostnet::ssh
