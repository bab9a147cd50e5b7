// ssh:// addresses, the command lines that they become, and the words of ssh.
#include "engine/ssh_command.hpp"
#include "support/expect_error.hpp"
#include "support/text.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace hostnet;
using namespace hostnet::engine;
using test::contains;

namespace {

Ssh ssh_of(std::string_view text) { return Address::recorded(text, "--engine").ssh.value(); }

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

std::vector<std::string> after_dashes(const std::vector<std::string>& words) {
  return {std::ranges::find(words, "--") + 1, words.end()};
}

}  // namespace

TEST_CASE("an address is read, and written as it is read again") {
  const struct {
    const char* text;
    Ssh ssh;
    const char* written;
  } cases[] = {
      {"ssh://box", {"", "box", 0, "/var/run/docker.sock"}, "ssh://box/var/run/docker.sock"},
      {"ssh://box/", {"", "box", 0, "/var/run/docker.sock"}, "ssh://box/var/run/docker.sock"},
      {"ssh://me@box:2222",
       {"me", "box", 2222, "/var/run/docker.sock"},
       "ssh://me@box:2222/var/run/docker.sock"},
      {"ssh://me@box/run/e.sock", {"me", "box", 0, "/run/e.sock"}, "ssh://me@box/run/e.sock"},
      {"ssh://[::1]:22/e", {"", "::1", 22, "/e"}, "ssh://[::1]:22/e"},
      {"ssh://[fe80::1%25eth0]/e", {"", "fe80::1%eth0", 0, "/e"}, "ssh://[fe80::1%25eth0]/e"},
      {"ssh://[fe80::1%eth0]/e", {"", "fe80::1%eth0", 0, "/e"}, "ssh://[fe80::1%25eth0]/e"},
      {"ssh://ann@corp.example@box/e", {"ann@corp.example", "box", 0, "/e"}, "ssh://ann@corp.example@box/e"},
      {"ssh://corp%5Cann@box/e", {"corp\\ann", "box", 0, "/e"}, "ssh://corp%5Cann@box/e"},
      {"ssh://a+b#c@box", {}, nullptr},
      {"ssh://a+b%23c@box/e", {"a+b#c", "box", 0, "/e"}, "ssh://a+b%23c@box/e"},
      {"ssh://box/a%20b", {"", "box", 0, "/a b"}, "ssh://box/a%20b"},
      {"ssh://build_box-1.example/e", {"", "build_box-1.example", 0, "/e"}, "ssh://build_box-1.example/e"},
  };
  for (const auto& one : cases) {
    CAPTURE(one.text);
    if (one.written == nullptr) {
      CHECK(test::error_of([&] { ssh_of(one.text); }).code() == Errc::invalid_argument);
      continue;
    }
    CHECK(ssh_of(one.text) == one.ssh);
    CHECK(ssh_of(one.text).text() == one.written);
    CHECK(ssh_of(one.written) == one.ssh);
  }
  const auto address = Address::recorded("ssh://me@box:22/e", "--engine");
  CHECK(address.socket == "ssh://me@box:22");
  CHECK_FALSE(address.is_unix());
  CHECK(Address::recorded("ssh://box", "CONTAINER_HOST").ssh->path == "/run/podman/podman.sock");
}

TEST_CASE("what is no address, or would be something else for ssh, is refused with the reason") {
  const struct {
    const char* text;
    const char* why;
  } cases[] = {
      {"ssh://", "names no host"},
      {"ssh:///run/docker.sock", "names no host"},
      {"ssh://me@", "names no host"},
      {"ssh://-oProxyCommand=x", "names no host"},
      {"ssh://-box", "names no host"},
      {"ssh://b ox", "names no host"},
      {"ssh://b$ox", "names no host"},
      {"ssh://box;id", "names no host"},
      {"ssh://-l@box", "its user"},
      {"ssh://@box", "its user"},
      {"ssh://a b@box", "its user"},
      {"ssh://a%0Ab@box", "its user"},
      {"ssh://a`id`@box", "its user"},
      {"ssh://a%24b@box", "its user"},
      {"ssh://a%5C@box", "its user"},
      {"ssh://me:secret@box", "password"},
      {"ssh://box:0", "its port"},
      {"ssh://box:65536", "its port"},
      {"ssh://box:", "its port"},
      {"ssh://box:22a", "its port"},
      {"ssh://box:-1", "its port"},
      {"ssh://::1", "names no host"},
      {"ssh://[::1", "bracket"},
      {"ssh://[box]", "IPv6"},
      {"ssh://[::1]22", "its port"},
      {"ssh://[fe80::1%-x y]", "IPv6"},
      {"ssh://[::1%]", "IPv6"},
      {"ssh://box/e?x=1", "nothing may follow"},
      {"ssh://box/e#x", "nothing may follow"},
      {"ssh://box/e/", "not that of a socket"},
      {"ssh://box/%0a", "not that of a socket"},
      {"ssh://box/%zz", "hexadecimal"},
  };
  for (const auto& one : cases) {
    CAPTURE(one.text);
    const auto error = test::error_of([&] { ssh_of(one.text); });
    CHECK(error.code() == Errc::invalid_argument);
    CHECK(contains(error.what(), one.why));
    CHECK(contains(error.hint(), "ssh://user@host"));
  }
}

TEST_CASE("the master's command line") {
  const Ssh ssh{"me", "box", 2222, "/e"};
  const auto words = ssh_master(ssh, "/run/x/control", false);
  const auto line = joined(words);
  for (const char* option :
       {"-o ControlMaster=yes", "-o ControlPath=/run/x/control", "-o ControlPersist=no", "-o BatchMode=yes",
        "-o ClearAllForwardings=yes", "-o ForkAfterAuthentication=no", "-o RemoteCommand=none",
        "-o ForwardAgent=no", "-o ForwardX11=no", "-o PermitLocalCommand=no", "-o ServerAliveInterval=3",
        "-l me", "-p 2222"}) {
    CAPTURE(option);
    CHECK(contains(line, option));
  }
  CHECK(after_dashes(words) == std::vector<std::string>{"box"});
  CHECK_FALSE(contains(joined(ssh_master(ssh, "/run/x/control", true)), "BatchMode"));
  CHECK_FALSE(contains(joined(ssh_master({"", "box", 0, "/e"}, "/c", false)), " -l "));
  // Nothing listens on a TCP port here.
  CHECK_FALSE(contains(line, " -L "));
  CHECK_FALSE(contains(line, " -D "));
}

TEST_CASE("forwards go from a Unix socket here, without ssh_config") {
  CHECK(joined(ssh_forward(Forwarding::begin, "/c", "/x/1", "127.0.0.1:49153")) ==
        "ssh -F /dev/null -S /c -O forward -L /x/1:127.0.0.1:49153 -- engine");
  CHECK(joined(ssh_forward(Forwarding::end, "/c", "/x/1", "/run/docker.sock")) ==
        "ssh -F /dev/null -S /c -O cancel -L /x/1:/run/docker.sock -- engine");
  CHECK(forward_target("127.0.0.1", 22) == "127.0.0.1:22");
  CHECK(forward_target("fd00::2", 22) == "[fd00::2]:22");
}

TEST_CASE("a command there is one word after the host, and quotes what it names") {
  const auto words = ssh_run({"", "box", 0, "/e"}, "/c", "docker info");
  CHECK(after_dashes(words) == std::vector<std::string>{"box", "docker info"});
  CHECK(contains(joined(words), "-o ControlMaster=no"));
  CHECK(contains(joined(words), "-o BatchMode=yes"));
  CHECK(dial_commands("/var/run/docker.sock").front() ==
        "docker -H unix:///var/run/docker.sock system dial-stdio");
  CHECK(dial_commands("/run/podman/podman.sock").front() ==
        "podman --url unix:///run/podman/podman.sock system dial-stdio");
  CHECK(dial_commands("/a b;c").front() == "docker -H 'unix:///a b;c' system dial-stdio");
}

TEST_CASE("the line that says why") {
  CHECK(last_words("") == "");
  CHECK(last_words("\r\n\n") == "");
  CHECK(last_words("me@box: Permission denied (publickey).\r\n") == "me@box: Permission denied (publickey).");
  // A jump host's reason comes before what follows from it.
  CHECK(last_words("ssh: connect to host jump port 22: Connection refused\r\n"
                   "kex_exchange_identification: Connection closed by remote host\r\n"
                   "Connection closed by UNKNOWN port 65535\r\n") ==
        "ssh: connect to host jump port 22: Connection refused");
  CHECK(last_words("kex_exchange_identification: Connection closed by remote host\r\n") ==
        "kex_exchange_identification: Connection closed by remote host");
  CHECK_FALSE(contains(last_words("a\x1b[31mb\n"), "\x1b"));
  CHECK(last_words(std::string(5000, 'x')).size() < 210);
}

TEST_CASE("why a login fails, and what to do") {
  const auto address = Address::recorded("ssh://me@box:2222/e", "DOCKER_HOST");
  const auto changed =
      login_error(address,
                  "@@@@@@@@@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@@@@@\n"
                  "Host key for box has changed and you have requested strict checking.\n"
                  "Host key verification failed.\n");
  CHECK(changed.code() == Errc::not_authorised);
  CHECK(contains(changed.what(), "known_hosts"));
  CHECK(contains(changed.hint(), "ssh-keygen -R"));
  const auto unknown = login_error(address, "Host key verification failed.\n");
  CHECK(unknown.code() == Errc::not_authorised);
  CHECK(contains(unknown.hint(), "ssh -l me -p 2222 -- box true"));
  CHECK(login_error(address, "me@box: Permission denied (publickey).\n").code() == Errc::not_authorised);
  const auto refused = login_error(address, "ssh: connect to host box port 2222: Connection refused\n");
  CHECK(refused.code() == Errc::engine_unavailable);
  CHECK(contains(refused.what(), "ssh login"));
  CHECK(contains(refused.what(), "Connection refused"));
  CHECK(contains(login_error(address, "").what(), "without a word"));
}
