// Tests of the namespace support, which all other tests here rely on.
#include "core/ipv4.hpp"
#include "support/netns.hpp"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <atomic>
#include <stdexcept>

using test::NetNs;

namespace {

ino_t inode_of_current() {
  struct stat status {};
  if (::stat("/proc/thread-self/ns/net", &status) != 0) throw std::runtime_error("stat");
  return status.st_ino;
}

}  // namespace

TEST_CASE("a fresh namespace is separate, has loopback up, and the caller stays in its own") {
  const auto before = inode_of_current();
  const NetNs one;
  const NetNs two;
  const auto first = one.run(inode_of_current);
  const auto second = two.run(inode_of_current);
  CHECK(first != before);
  CHECK(second != before);
  CHECK(first != second);
  CHECK(inode_of_current() == before);
  CHECK(NetNs::current().run(inode_of_current) == before);
  CHECK(one.exec("ip -o link").find("lo: <LOOPBACK,UP") != std::string::npos);
}

TEST_CASE("run rethrows what a function throws in a namespace") {
  const NetNs inside;
  CHECK_THROWS_WITH(inside.run([] { throw std::runtime_error("from inside"); }), "from inside");
}

TEST_CASE("commands return their output or their failure") {
  const NetNs inside;
  CHECK(inside.exec("echo out; echo err >&2") == "out\nerr\n");
  CHECK(inside.exec("cat", std::string(200'000, 'x')).size() == 200'000);
  CHECK(inside.exec("cat").empty());
  CHECK(inside.try_exec("exit 3").status == 3);
  CHECK(inside.try_exec("kill -9 $$").status == 137);
  CHECK_THROWS_WITH(inside.exec("echo why; false"), "`echo why; false` gave 1: why\n");
}

TEST_CASE("joined namespaces reach each other") {
  const NetNs one;
  const NetNs two;
  test::connect({one, "left", "198.18.7.1/24"}, {two, "right", "198.18.7.2/24"});
  const sockaddr_in address{.sin_family = AF_INET,
                            .sin_port = htons(4000),
                            .sin_addr = {hostnet::Ipv4::parse("198.18.7.1")->network()}};
  const auto open = [] { return hostnet::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); };
  const auto server = one.run(open);
  const auto client = two.run(open);
  REQUIRE(::bind(server.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(server.get(), 1) == 0);
  CHECK(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
}

TEST_CASE("a function runs beside the test until it returns") {
  const NetNs inside;
  std::atomic<ino_t> seen = 0;
  {
    const auto thread = inside.start([&] { seen = inode_of_current(); });
  }
  CHECK(seen == inside.run(inode_of_current));
}
