// A socket beside the records: reachable, and gone with its object or its process.
#include "hostnet/error.hpp"
#include "lease/record_socket.hpp"
#include "support/forked.hpp"
#include "support/temp_dir.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

using namespace hostnet;
using namespace hostnet::state;

namespace {

namespace fs = std::filesystem;

Deadline soon() { return Deadline::after(std::chrono::seconds{10}); }

Fd connected_to(const fs::path& folder, const std::string& file) {
  // As the socket itself: its path may be longer than an address.
  const Fd opened(::open(folder.c_str(), O_PATH | O_CLOEXEC));
  const auto path = "/proc/self/fd/" + std::to_string(opened.get()) + "/" + file;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(path.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, path.data(), path.size());
  Fd peer(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (::connect(peer.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) peer.reset();
  return peer;
}

}  // namespace

TEST_CASE("it accepts connections while it lives, also under a long path, and keeps the folder") {
  const test::TempDir folder;
  const TunnelStore store((folder.path() / std::string(150, 'd')).string());
  {
    const RecordSocket socket(store, "one", soon());
    CHECK(socket.path() == (store.folder() / "one.sock").string());
    struct stat status {};
    REQUIRE(::stat(socket.path().c_str(), &status) == 0);
    CHECK((status.st_mode & 0777U) == 0666U);
    CHECK((fs::status(store.folder()).permissions() & fs::perms::others_all) == fs::perms::none);
    store.tidy();
    CHECK(connected_to(store.folder(), "one.sock"));
    const auto accepted = ::accept4(socket.listener(), nullptr, nullptr, SOCK_CLOEXEC);
    CHECK(accepted >= 0);
    ::close(accepted);
    CHECK_THROWS_AS(RecordSocket(store, "one", soon()), Error);
  }
  CHECK_FALSE(fs::exists(store.folder() / "one.sock"));
  store.tidy();
  CHECK_FALSE(fs::exists(store.folder()));
}

TEST_CASE("what a killed process left goes, by name and by nobody's listening; other files stay") {
  const test::TempDir folder;
  const TunnelStore store((folder.path() / "state").string());
  std::optional<RecordSocket> first(std::in_place, store, "first", soon());
  const RecordSocket second(store, "second", soon());
  const auto killed = test::start_child([&] {
    const RecordSocket left(store, "left", soon());
    ::_exit(0);
  });
  CHECK(test::await_child(killed) == 0);
  std::ofstream(store.folder() / "third.sock") << "a file";
  remove_socket(store, "first");
  remove_socket(store, "third");
  remove_socket(store, "none");
  CHECK_FALSE(fs::exists(store.folder() / "first.sock"));
  CHECK(fs::exists(store.folder() / "left.sock"));
  store.tidy();
  CHECK_FALSE(fs::exists(store.folder() / "left.sock"));
  CHECK(fs::exists(store.folder() / "second.sock"));
  CHECK(fs::exists(store.folder() / "third.sock"));
  // Whoever looked is not among those who wait to be accepted.
  CHECK(::accept4(second.listener(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK) == -1);
  CHECK(errno == EAGAIN);
}
