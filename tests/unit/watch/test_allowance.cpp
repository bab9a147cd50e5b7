// Which host ports and sockets labels may request.
#include "hostnet/error.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"
#include "watch/allowance.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

using namespace hostnet;
using namespace hostnet::exposer;

namespace {

bool covers(const Allowance& allowance, std::string_view port) {
  return allowance.covers(HostPort::parse(port));
}

std::string fault(const std::vector<std::string>& ports, const std::vector<std::string>& sockets = {}) {
  const auto error = test::error_of([&] { Allowance::parse(ports, sockets); });
  CHECK(error.code() == Errc::invalid_argument);
  CHECK_FALSE(error.hint().empty());
  return error.what();
}

}  // namespace

TEST_CASE("by default ports from 1024 on, and no socket") {
  const Allowance allowance;
  for (const char* port : {"1024", "5432", "65535", "5353/udp", "8080:80"}) CHECK(covers(allowance, port));
  for (const char* port : {"1023", "22", "80/udp", "1", "22:8080", "/run/docker.sock:2375"})
    CHECK_FALSE(covers(allowance, port));
}

TEST_CASE("named ports replace the default") {
  const auto allowance = Allowance::parse({"80,3000-3002", "5432/tcp, 5353/udp", "9000-9001/udp"}, {});
  for (const char* port : {"80", "80/udp", "3000", "3002/udp", "5432", "5353/udp", "9001/udp", "80:8080"})
    CHECK(covers(allowance, port));
  for (const char* port : {"81", "79", "2999", "3003", "5432/udp", "5353", "9000", "8080", "8080:80"})
    CHECK_FALSE(covers(allowance, port));
  const auto all = Allowance::parse({"1-65535"}, {});
  CHECK(covers(all, "1"));
  CHECK(covers(all, "65535/udp"));
}

TEST_CASE("another address of the loopback is allowed only by name") {
  const Allowance standard;
  for (const char* port : {"127.0.0.2:8080", "[::1]:8080"}) CHECK_FALSE(covers(standard, port));
  CHECK(covers(standard, "127.0.0.1:8080"));
  const auto named = Allowance::parse({"127.0.0.53:53,127.0.0.2:8000-8010/tcp", "[::1]:5173"}, {});
  for (const char* port : {"127.0.0.53:53", "127.0.0.53:53/udp", "127.0.0.2:8010", "[::1]:5173"})
    CHECK(covers(named, port));
  for (const char* port :
       {"53", "127.0.0.54:53", "127.0.0.2:8000/udp", "127.0.0.2:8011", "5173", "127.0.0.2:53"})
    CHECK_FALSE(covers(named, port));
  CHECK(fault({"10.0.0.1:80"}).find("10.0.0.1 is not an address of this host's loopback") !=
        std::string::npos);
}

TEST_CASE("refused ports are listed") {
  const Allowance allowance;
  const auto ports =
      std::vector{HostPort::parse("8080"), HostPort::parse("22"), HostPort::parse("/run/a.sock:1")};
  CHECK(allowance.refused(ports) == std::vector{ports[1], ports[2]});
}

TEST_CASE("a socket is allowed only by its exact path") {
  const auto allowance = Allowance::parse({}, {"/run/app.sock,/run/db/.s.PGSQL.5432", "/srv/x.sock"});
  for (const char* port : {"/run/app.sock:80", "/run/db/.s.PGSQL.5432:5432", "/srv/x.sock:1/tcp", "8080"})
    CHECK(covers(allowance, port));
  for (const char* port :
       {"/run/docker.sock:80", "/run/app.sock2:80", "/run/db/../app.sock:80", "//run/app.sock:80",
        "/run//app.sock:80", "/run/./app.sock:80", "/run/app.sock/:80", "/run/db/x:80", "80"})
    CHECK_FALSE(covers(allowance, port));
}

TEST_CASE("invalid allowances") {
  for (const char* wrong : {"", ",", "80,", "0", "65536", "a", "-", "80-", "-80", "80-79", "80/sctp", "80/",
                            "80:81", "1-2-3", "+80", "0x50", "80 81", "99999999999999999999", "/run/a.sock"})
    CHECK(fault({wrong}).find('\n') == std::string::npos);
  CHECK(fault({"4000-3000"}).find("'4000-3000': the range ends before it begins") != std::string::npos);
  for (const char* wrong :
       {"", "relative.sock", "/run/", "/", "/run/../a.sock", "/run//a.sock", "/run/./a.sock", "//a.sock"})
    CHECK(fault({}, {wrong}).find("plain absolute path") != std::string::npos);
}

TEST_CASE("a link in a socket's path is detected, wherever it points") {
  const test::TempDir dir;
  const auto folder = std::filesystem::canonical(dir.path());
  std::filesystem::create_directory(folder / "real");
  std::ofstream(folder / "real" / "a.sock").put('\n');
  std::filesystem::create_symlink(folder / "real", folder / "link");
  std::filesystem::create_symlink(folder / "real" / "a.sock", folder / "b.sock");
  std::filesystem::create_symlink(folder / "to-come", folder / "dangling");
  std::filesystem::create_symlink(folder / "loop", folder / "loop");
  CHECK_FALSE(link_in((folder / "real" / "a.sock").string()));
  CHECK_FALSE(link_in((folder / "real" / "still-to-come.sock").string()));
  CHECK_FALSE(link_in((folder / "no" / "folder" / "yet.sock").string()));
  CHECK(link_in((folder / "link" / "a.sock").string()) == (folder / "link").string());
  for (const char* name : {"b.sock", "dangling", "loop"})
    CHECK(link_in((folder / name).string()) == (folder / name).string());
}
