// What the sidecar's sshd refuses, and which servers the tunnel refuses.
#include "path/sidecar/dial.hpp"
#include "path/sidecar/sshd.hpp"
#include "path/ssh/session.hpp"
#include "ssh/sidecar.hpp"
#include "ssh/traffic.hpp"
#include "support/expect_error.hpp"
#include "support/service.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <array>
#include <regex>

using namespace hostnet;
using namespace test;
using namespace std::chrono_literals;

namespace {

// OpenSSH's client in the neighbour's namespace, with the key that the sidecar accepts unless `options` name
// another.
Outcome ssh_client(const Sidecar& sidecar, const std::string& options, const std::string& command = "true") {
  return sidecar.neighbour.try_exec(
      fmt::format("timeout 5 ssh -F none -i {} -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o "
                  "UserKnownHostsFile=/dev/null "
                  "-o BatchMode=yes -o LogLevel=VERBOSE {} root@{} '{}' </dev/null",
                  sidecar.key_file(), options, sidecar.address.to_string(), command));
}

bool says(const Outcome& outcome, std::string_view words) {
  INFO(outcome.output);
  return outcome.output.find(words) != std::string::npos;
}

void wait_for_sshd(const Sidecar& sidecar) {
  static_cast<void>(connection_to(sidecar.at(ssh::kPort), soon()));
}

}  // namespace

TEST_CASE("sshd accepts no password, no other key and no other user") {
  Sidecar sidecar(ports({{7001, 7001}}));
  wait_for_sshd(sidecar);
  CHECK(says(ssh_client(sidecar, "-o PubkeyAuthentication=no -o BatchMode=no -o NumberOfPasswordPrompts=1"),
             "Permission denied (publickey)"));
  CHECK(says(ssh_client(sidecar, "-i /dev/null -o PreferredAuthentications=password,keyboard-interactive"),
             "Permission denied (publickey)"));
  CHECK(says(ssh_client(sidecar, "-l sshd"), "Permission denied (publickey)"));
}

TEST_CASE("a client with the key runs no other command and forwards only the lease's ports") {
  Sidecar sidecar(ports({{7001, 7001}}));
  const Service service(sidecar.netns.run([] { return loopback(7005); }), "inner");
  wait_for_sshd(sidecar);
  const auto outcome = ssh_client(sidecar, "-tt", "echo out; echo $((40+2))");
  CHECK_FALSE(says(outcome, "42"));
  CHECK(says(outcome, "PTY allocation request failed"));
  CHECK(says(ssh_client(sidecar, "-o ExitOnForwardFailure=yes -N -R 0.0.0.0:7002:127.0.0.1:1"),
             "remote port forwarding failed"));
  CHECK(says(ssh_client(sidecar, "-o ExitOnForwardFailure=yes -N -R 0.0.0.0:0:127.0.0.1:1"),
             "remote port forwarding failed"));
  CHECK(says(ssh_client(sidecar, "-o ExitOnForwardFailure=yes -N -R /tmp/socket:127.0.0.1:1"),
             "remote port forwarding failed"));
  CHECK(says(ssh_client(sidecar, "-W 127.0.0.1:7005"), "administratively prohibited"));
  CHECK(says(ssh_client(sidecar, "-s", "sftp"), "subsystem request failed"));
}

TEST_CASE("a session runs one command and no second one") {
  Sidecar sidecar(ports({{7001, 7001}}));
  const auto settings = sidecar.settings();
  ssh::Session session(connection_to(sidecar.at(ssh::kPort), soon()),
                       {.client = settings.client, .host_key = settings.host_key}, soon());
  const auto& lib = ssh::Libssh::get();
  const auto second = lib.ssh_channel_new(session.handle());
  int code = SSH_AGAIN;
  CHECK(eventually([&] { return (code = lib.ssh_channel_open_session(second)) != SSH_AGAIN; }, 2s));
  CHECK(code == SSH_ERROR);
  CHECK(error_of([&] { session.listen(7002, soon()); }).code() == Errc::conflict);
  session.listen(7001, soon());
  CHECK(error_of([&] { session.listen(7001, soon()); }).code() == Errc::conflict);
}

TEST_CASE(
    "the private keys are in no process's command line or environment, and the files are root's alone") {
  Sidecar sidecar(ports({{7001, 7001}}));
  const ssh::Tunnel tunnel(sidecar.settings(), soon());
  // All processes of the sidecar's process namespace. /proc keeps a program's initial environment even after
  // it unsets variables.
  const auto seen = sidecar.netns.exec(
      "ours=$(readlink /proc/self/ns/pid) net=$(readlink /proc/self/ns/net)\n"
      "for p in $(ls /proc | grep '^[0-9]'); do\n"
      "  [ \"$(readlink /proc/$p/ns/net)\" = \"$net\" ] || continue\n"
      "  [ \"$(readlink /proc/$p/ns/pid)\" != \"$ours\" ] || continue\n"
      "  echo \"process $(cat /proc/$p/comm)\"; tr '\\0' '\\n' </proc/$p/cmdline; tr '\\0' '\\n' "
      "</proc/$p/environ\n"
      "  [ ! -e /proc/$p/root/run/tc-hostnet ] || stat -c '%a %u %n' /proc/$p/root/run/tc-hostnet "
      "/proc/$p/root/run/tc-hostnet/*\n"
      "done");
  INFO(seen);
  const auto has = [&](std::string_view words) { return seen.find(words) != std::string::npos; };
  CHECK(has("process sh\n"));
  CHECK(has("process sshd\n"));
  CHECK(has("PATH=/usr/sbin"));  // environments are seen
  CHECK_FALSE(has("PRIVATE KEY"));
  CHECK_FALSE(has("TC_HOSTNET_HOST_KEY=-"));
  CHECK(has("700 0 /proc/"));
  for (const auto* const file : {"host_key", "authorized_keys", "sshd_config"}) {
    CAPTURE(file);
    CHECK(std::regex_search(seen,
                            std::regex(fmt::format("\n600 0 /proc/[0-9]+/root/run/tc-hostnet/{}\n", file))));
  }
}

TEST_CASE("a server with another host key is refused") {
  Sidecar sidecar(ports({{7001, 7001}}));
  auto settings = sidecar.settings();
  settings.host_key = ssh::Key::generate().public_line();
  int calls = 0;
  settings.before_login = [&](Deadline) { ++calls; };
  const auto error = error_of([&] { const ssh::Tunnel tunnel(std::move(settings), soon()); });
  CHECK(calls == 0);
  CHECK(error.code() == Errc::conflict);
  CHECK(std::string(error.what()).starts_with("ssh handshake: the server's host key is not the sidecar's"));
}

TEST_CASE("a sidecar that refuses the key gives a login error") {
  Sidecar sidecar(ports({{7001, 7001}}));
  auto settings = sidecar.settings();
  settings.client = ssh::Key::generate();
  int calls = 0;
  settings.before_login = [&](Deadline) { ++calls; };
  const auto error = error_of([&] { const ssh::Tunnel tunnel(std::move(settings), soon()); });
  CHECK(calls == 1);
  CHECK(error.code() == Errc::not_authorised);
  CHECK(std::string(error.what()).starts_with("ssh login: the sidecar refuses the key"));
}

TEST_CASE("an sshd that never answers gives an error within the deadline, which names the stage") {
  Sidecar sidecar(ports({{7001, 7001}}));
  const auto on = [](std::uint16_t port) { return listen_on({ip("127.0.0.1"), port}); };
  const auto silent = on(2222);
  const Listener hangs_up(on(2223), [](Fd) {});
  const Listener babbles(on(2224),
                         [](const Fd& guest) { ::send(guest.get(), "HTTP/1.1 400\r\n", 14, MSG_NOSIGNAL); });
  const Listener stops(on(2225), [](const Fd& guest) {
    ::send(guest.get(), "SSH-2.0-OpenSSH_9.2\r\n", 21, MSG_NOSIGNAL);
    std::array<char, 4096> buffer;
    while (::recv(guest.get(), buffer.data(), buffer.size(), 0) > 0) {
    }
  });
  const auto settings = sidecar.settings();
  const auto attempt = [&](std::uint16_t port) {
    const auto start = std::chrono::steady_clock::now();
    const auto deadline = Deadline::after(700ms);
    const auto error = error_of([&] {
      dial_one(
          {ip("127.0.0.1"), port}, deadline, [] {},
          [&](Fd connection, Deadline limit) {
            const ssh::Session session(std::move(connection),
                                       {.client = settings.client, .host_key = settings.host_key}, limit);
          });
    });
    CHECK(std::chrono::steady_clock::now() - start < 1500ms);
    CHECK(error.code() == Errc::timed_out);
    return std::string(error.what());
  };
  // The handshake has a limit of its own, which leaves time for other ways.
  const auto begun = std::chrono::steady_clock::now();
  CHECK_THROWS_AS(ssh::Session(connection_to({ip("127.0.0.1"), 2225}, soon()),
                               {.client = settings.client, .host_key = settings.host_key},
                               Deadline::after(20s), Deadline::after(100ms)),
                  ssh::NotOurSshd);
  CHECK(std::chrono::steady_clock::now() - begun < 10s);
  const std::string start = "ssh banner: the sidecar's sshd does not serve: 127.0.0.1:";
  CHECK(attempt(2221) == start + "2221: Connection refused");
  CHECK(attempt(2222) == start + "2222: it accepts the connection and sends no banner");
  CHECK(attempt(2223) == start + "2223: it hangs up before its banner");
  CHECK(attempt(2224) == start + "2224: it sends no SSH banner");
  CHECK(attempt(2225) == "ssh handshake: the sidecar gave no answer in time");
}
