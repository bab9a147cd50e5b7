// Sockets of root's and of another user's, and the ways to them that another user may change. Root alone can
// make them.
#include "core/fd.hpp"
#include "engine/address.hpp"
#include "engine/unix_socket.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"
#include "support/unprivileged.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <string>

using namespace hostnet;
using namespace hostnet::engine;
namespace fs = std::filesystem;

namespace {

constexpr uid_t kOther = 31001;

struct Listening {
  explicit Listening(const fs::path& path, bool as_nobody = false) : fd(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    path.string().copy(where.sun_path, sizeof where.sun_path - 1);
    REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0);
    const auto listen = [&] { return ::listen(fd.get(), 8); };
    REQUIRE((as_nobody ? test::run_unprivileged(listen) : listen()) == 0);
  }
  Fd fd;
};

std::string fault(const fs::path& path) { return connect_unix({path.string(), "--engine"}).fault; }

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A folder of root's with a socket of root's in it.
struct World {
  test::TempDir dir;
  fs::path folder = dir.path() / "run";
  fs::path socket = folder / "engine.sock";
  Listening listening = [this] {
    fs::create_directory(folder);
    REQUIRE(::chmod(dir.path().c_str(), 0755) == 0);
    REQUIRE(::chmod(folder.c_str(), 0755) == 0);
    return Listening(socket);
  }();
};

}  // namespace

TEST_CASE("a socket of root's, also one that a group may dial") {
  const World world;
  CHECK(fault(world.socket).empty());
  REQUIRE(::chown(world.socket.c_str(), 0, 12345) == 0);
  REQUIRE(::chmod(world.socket.c_str(), 0660) == 0);
  CHECK(fault(world.socket).empty());
  const auto made = connect_unix({world.socket.string(), "--engine"});
  CHECK(made.uid == 0);
  CHECK(made.listener == ::getpid());
  CHECK(::send(made.fd.get(), "x", 1, MSG_NOSIGNAL) == 1);
}

TEST_CASE("a socket that belongs to another user, or at which one listens") {
  const World world;
  REQUIRE(::chown(world.socket.c_str(), kOther, 0) == 0);
  CHECK(
      contains(fault(world.socket), fmt::format("socket '{}' belongs to uid 31001", world.socket.string())));

  const auto other = world.folder / "other.sock";
  const Listening listening(other, true);
  CHECK(contains(fault(other), "a process of uid 65534 listens there"));
}

TEST_CASE("a folder on the way that another user owns, or may change") {
  const World world;
  const auto& folder = world.folder;
  REQUIRE(::chown(folder.c_str(), kOther, 0) == 0);
  CHECK(contains(fault(world.socket), fmt::format("folder '{}' belongs to uid 31001", folder.string())));
  REQUIRE(::chown(folder.c_str(), 0, 12345) == 0);
  CHECK(fault(world.socket).empty());
  REQUIRE(::chmod(folder.c_str(), 0775) == 0);
  CHECK(contains(fault(world.socket), "may be changed by the group 12345"));
  REQUIRE(::chmod(folder.c_str(), 0777) == 0);
  CHECK(contains(fault(world.socket), "may be changed by every user"));
  // As /tmp: what is root's in there stays what it is.
  REQUIRE(::chmod(folder.c_str(), 01777) == 0);
  CHECK(fault(world.socket).empty());
  REQUIRE(::chmod(folder.c_str(), 0755) == 0);
  // A folder further up counts as well.
  REQUIRE(::chown(world.dir.path().c_str(), kOther, 0) == 0);
  CHECK(contains(fault(world.socket), fmt::format("folder '{}'", world.dir.path().string())));
}

TEST_CASE("links are followed, and where they lie counts as much as where they lead") {
  const World world;
  const auto link = world.folder / "link.sock";
  fs::create_symlink("engine.sock", link);
  CHECK(fault(link).empty());
  const auto up = world.folder / "up";
  fs::create_symlink("../run", up);
  CHECK(fault(up / "engine.sock").empty());
  CHECK(fault(world.folder / "../run/./engine.sock").empty());

  REQUIRE(::lchown(link.c_str(), kOther, 0) == 0);
  CHECK(contains(fault(link), fmt::format("link '{}' belongs to uid 31001", link.string())));
  CHECK(fault(world.socket).empty());

  const auto home = world.dir.path() / "home";
  fs::create_directory(home);
  REQUIRE(::chown(home.c_str(), kOther, 0) == 0);
  const auto theirs = home / "engine.sock";
  fs::create_symlink(world.socket, theirs);
  CHECK(contains(fault(theirs), "home' belongs to uid 31001"));
  // A way through a folder of theirs and out of it again.
  CHECK(contains(fault(home / "../run/engine.sock"), "home' belongs to uid 31001"));
}

TEST_CASE("a link of procfs leads elsewhere than it reads, and is never taken for a fixed path") {
  const World world;
  CHECK(contains(fault(fmt::format("/proc/{}/root{}", ::getpid(), world.socket.string())),
                 "cannot be verified"));
}

TEST_CASE("a path that leads to another socket than the one that was opened does not pass") {
  const World world;
  const Listening second(world.folder / "second.sock");
  struct stat there {};
  REQUIRE(::stat((world.folder / "second.sock").c_str(), &there) == 0);
  CHECK(fault_on_way((world.folder / "second.sock").string(), there, 0).empty());
  CHECK(contains(fault_on_way(world.socket.string(), there, 0), "cannot be verified"));
  CHECK(contains(fault_on_way((world.folder / "gone.sock").string(), there, 0), "cannot be verified"));
  CHECK(contains(fault_on_way((world.folder / "second.sock/x").string(), there, 0), "cannot be verified"));
  const auto round = world.folder / "round";
  fs::create_symlink(round, round);
  CHECK(contains(fault_on_way(round.string(), there, 0), "cannot be verified"));
}

TEST_CASE("one's own socket is as good as root's, and a third user's is not") {
  const World world;
  struct stat there {};
  REQUIRE(::chown(world.folder.c_str(), kOther, 0) == 0);
  REQUIRE(::chown(world.socket.c_str(), kOther, 0) == 0);
  REQUIRE(::stat(world.socket.c_str(), &there) == 0);
  CHECK(fault_on_way(world.socket.string(), there, kOther).empty());
  CHECK_FALSE(fault_on_way(world.socket.string(), there, kOther + 1).empty());
}

TEST_CASE("what cannot be connected to is the same error as ever") {
  const World world;
  CHECK(test::error_of([&] { fault(world.folder / "gone.sock"); }).code() == Errc::engine_unavailable);
  CHECK(test::error_of([&] { fault(world.folder); }).code() == Errc::engine_unavailable);
  CHECK(test::error_of([&] { fault("/" + std::string(200, 'x')); }).code() == Errc::invalid_argument);
}
