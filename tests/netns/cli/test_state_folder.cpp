// The command meets a user's state folder made by another user, in every shape: it refuses it with one line
// and exit code 4, and reads, makes and deletes nothing of the user's.
#include "netlink/link.hpp"
#include "support/netns.hpp"
#include "support/temp_dir.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>

using namespace test;
namespace fs = std::filesystem;

namespace {

constexpr int kVictim = 31001;
constexpr int kAttacker = 31002;

// Two users, and the victim's home with something in it that only the victim may remove.
class Users {
 public:
  Users() {
    fs::permissions(dir_.path(), fs::perms(0755));
    exec(fmt::format(
        "cp {} {}/tc-hostnet && mkdir -p {}/.ssh {} && echo secret >{}/.ssh/00ff && chown -R {} {} && "
        "chmod 711 {} && chmod 700 {}/.ssh {}",
        std::getenv("TC_HOSTNET"), dir_.path().string(), home(), session(), home(), kVictim,
        home() + " " + session(), home(), home(), session()));
  }
  [[nodiscard]] std::string home() const { return dir_.path() / "home"; }
  [[nodiscard]] std::string session() const { return dir_.path() / "run"; }  // $XDG_RUNTIME_DIR
  [[nodiscard]] std::string at(const std::string& name) const { return dir_.path() / name; }

  // `tc-hostnet list` with an empty environment otherwise.
  [[nodiscard]] Outcome list(const std::string& variables, int uid = kVictim) const {
    return try_exec(
        fmt::format("timeout 20 setpriv --reuid {0} --regid {0} --clear-groups --inh-caps=-all env -i "
                    "PATH=\"$PATH\" HOME={1} {2} {3}/tc-hostnet list </dev/null",
                    uid, home(), variables, dir_.path().string()));
  }
  [[nodiscard]] std::string everything() const {
    return exec(fmt::format("find {} -printf '%p %y %U %m %n %s\n' | sort", dir_.path().string()));
  }

 private:
  TempDir dir_;
};

}  // namespace

TEST_CASE("a folder that another user prepared in /tmp is ignored") {
  const Users users;
  const auto old = fmt::format("/tmp/tc-hostnet-{}", kVictim);
  exec(fmt::format(
      "rm -rf {0} && mkdir -m 755 -p {0}/ssh && ln -s {1}/.ssh {0}/ssh/owners && chown -hR {2} {0}", old,
      users.home(), kAttacker));
  const auto before = users.everything();
  const auto done = users.list("");
  exec("rm -rf " + old);
  CAPTURE(done.output);
  CHECK(done.status == 0);
  CHECK(users.everything() == before);
}

TEST_CASE("a foreign state folder is refused in each of its shapes") {
  const Users users;
  const auto session = users.session();
  const auto state = session + "/tc-hostnet";
  struct Shape {
    std::string make;
    std::string why;
  };
  const auto own = [](const std::string& path) { return fmt::format(" && chown -hR {} {}", kVictim, path); };
  const auto theirs = [](const std::string& path) {
    return fmt::format(" && chown -hR {} {}", kAttacker, path);
  };
  for (const auto& shape : {
           Shape{fmt::format("mkdir -m 755 -p {0}/ssh && ln -s {1}/.ssh {0}/ssh/owners{2}", state,
                             users.home(), theirs(state)),
                 "belongs to uid 31002"},
           Shape{fmt::format("mkdir -m 700 {0} && mkdir -m 755 {0}/ssh{1}{2}", state, own(state),
                             theirs(state + "/ssh")),
                 "belongs to uid 31002"},
           Shape{fmt::format("mkdir -m 777 {}{}", state, own(state)), "can be written by others (mode 0777)"},
           Shape{fmt::format("mkdir -m 770 {}{}", state, own(state)), "can be written by others (mode 0770)"},
           Shape{fmt::format("mkdir -m 700 {0} && mkdir -m 777 {0}/ssh{1}", state, own(state)),
                 "can be written by others"},
           Shape{fmt::format("mkdir {0}-real && ln -s {0}-real {0}{1}", state, own(state + "-real " + state)),
                 "is a symbolic link"},
           Shape{
               fmt::format("mkdir -m 700 {0} && ln -s {1}/.ssh {0}/ssh{2}", state, users.home(), own(state)),
               "is a symbolic link"},
           Shape{fmt::format("mkdir -m 700 -p {0}/ssh && ln -s {1}/.ssh {0}/ssh/owners{2}", state,
                             users.home(), own(state)),
                 ""},
           Shape{fmt::format("touch {}{}", state, own(state)), "is not a folder"},
           Shape{fmt::format("mkfifo {}{}", state, own(state)), "is not a folder"},
           Shape{fmt::format("mkdir -m 755 {0} && chown {1} {2} && chmod 755 {2}{3}", state, kAttacker,
                             session, own(state)),
                 session + " belongs to uid 31002"},
           Shape{fmt::format("chmod 777 {}", session), session + " can be written by others"},
       }) {
    CAPTURE(shape.make);
    exec(shape.make);
    const auto before = users.everything();
    const auto done = users.list("XDG_RUNTIME_DIR=" + session);
    CAPTURE(done.output);
    CHECK(users.everything() == before);
    // A link in place of the owners' folder does not block listing: the command skips it.
    CHECK(done.status == (shape.why.empty() ? 0 : 4));
    CHECK(done.output.find(shape.why) != std::string::npos);
    if (!shape.why.empty()) CHECK(std::ranges::count(done.output, '\n') == 1);
    exec(fmt::format("rm -rf {0} {0}-real && chown {1} {2} && chmod 700 {2}", state, kVictim, session));
  }
  // Without such a folder, it works.
  CHECK(users.list("XDG_RUNTIME_DIR=" + session).status == 0);
}

TEST_CASE("the folder below the home is checked in the same way") {
  const Users users;
  const auto before = users.everything();
  CHECK(users.list("").status == 0);
  CHECK(users.everything() == before);  // listing creates nothing
  exec(
      fmt::format("mkdir -p {0}/.local/state/tc-hostnet/ssh && chown -R {1} {0}/.local && chown -R {2} "
                  "{0}/.local/state/tc-hostnet",
                  users.home(), kVictim, kAttacker));
  const auto done = users.list("");
  CAPTURE(done.output);
  CHECK(done.status == 4);
  CHECK(done.output.find("/.local/state/tc-hostnet belongs to uid 31002") != std::string::npos);
  CHECK(users.list("XDG_STATE_HOME=relative").status == 4);
  CHECK(users.list("XDG_STATE_HOME=" + users.session()).status == 0);
}

TEST_CASE("a user is not told to remove root's journal") {
  const Users users;
  const auto store = users.at("root");
  // With a journal: without one there are no leases to hide.
  exec(fmt::format("mkdir -m 755 {0} && mkdir -m 700 {0}/netns-{1}", store,
                   hostnet::netlink::namespace_cookie()));
  const auto variables = "TC_HOSTNET_RUNTIME_DIR=" + store;
  const auto done = users.list(variables);
  CAPTURE(done.output);
  CHECK(done.status == 0);
  CHECK(done.output.find("only root can read") != std::string::npos);
  CHECK(done.output.find("sudo tc-hostnet list") != std::string::npos);
  CHECK(done.output.find("remove") == std::string::npos);
}
