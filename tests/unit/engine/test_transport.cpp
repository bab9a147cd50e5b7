// One request against every kind of bad engine: which error, how soon, and never a hang or a crash.
#include "core/fd.hpp"
#include "core/file.hpp"
#include "engine/curl.hpp"
#include "engine/transport.hpp"
#include "engine/url.hpp"
#include "hostnet/error.hpp"
#include "support/temp_dir.hpp"
#include "support/text.hpp"
#include "unit/engine/fake_engine.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <thread>

using namespace hostnet;
using namespace std::chrono_literals;
using engine::Transport;
using test::contains;
using test::FakeEngine;
using test::http;
using test::send_bytes;

namespace {

// The error of a request to `socket`; the request must not succeed.
Error failure_of(const std::string& socket, Deadline deadline = Deadline::after(10s)) {
  try {
    Transport({socket, "--engine"}).get("/things", deadline);
  } catch (const Error& error) {
    return error;
  }
  FAIL("the request succeeded");
  throw std::logic_error("unreachable");
}

// The error when the engine sends these bytes and hangs up.
Error failure_of_bytes(const std::string& bytes) {
  const FakeEngine engine([&](const std::string&, int connection) {
    send_bytes(connection, bytes);
    return false;
  });
  return failure_of(engine.socket());
}

}  // namespace

TEST_CASE("an answer: status, body, and the versions in its headers") {
  const FakeEngine engine([](const std::string&, int connection) {
    send_bytes(connection, http(201, "body", "api-version: 1.41\r\nLibpod-API-Version: 4.3.1\r\n"));
    return true;
  });
  Transport transport({engine.socket(), "--engine"});
  const auto answer = transport.get("/things", Deadline::after(10s));
  CHECK(answer.status == 201);
  CHECK(answer.body == "body");
  CHECK(answer.api_version == "1.41");
  CHECK(answer.libpod_version == "4.3.1");
  CHECK(engine.requests().front() == "GET /things HTTP/1.1");
}

TEST_CASE("POST sends its JSON whole, DELETE and an empty POST send none, on one connection") {
  const FakeEngine engine([](const std::string& line, int connection) {
    send_bytes(connection, http(line.starts_with("DELETE") ? 204 : 201, ""));
    return true;
  });
  Transport transport({engine.socket(), "--engine"});
  const auto large =
      '"' + std::string(3U << 20, 'x') + '"';  // above a megabyte, libcurl waits for "100 Continue"
  CHECK(transport.post("/a", R"({"k":"v"})", Deadline::after(10s)).call == "POST /a on " + engine.socket());
  CHECK(transport.post("/b?t=1", {}, Deadline::after(10s)).call == "POST /b on " + engine.socket());
  CHECK(transport.remove("/c", Deadline::after(10s)).status == 204);
  transport.post("/d", large, Deadline::after(10s));
  transport.get("/e", Deadline::after(10s));
  CHECK(engine.requests() == std::vector<std::string>{"POST /a HTTP/1.1", "POST /b?t=1 HTTP/1.1",
                                                      "DELETE /c HTTP/1.1", "POST /d HTTP/1.1",
                                                      "GET /e HTTP/1.1"});
  CHECK(engine.bodies() == std::vector<std::string>{R"({"k":"v"})", "", "", large, ""});
  CHECK(engine.connections() == 1);
}

TEST_CASE("304 is a success: the state was already reached") {
  const FakeEngine engine([](const std::string&, int connection) {
    send_bytes(connection, "HTTP/1.1 304 Not Modified\r\n\r\n");
    return true;
  });
  Transport transport({engine.socket(), "--engine"});
  CHECK(transport.post("/start", {}, Deadline::after(10s)).status == 304);
  CHECK(transport.post("/start", {}, Deadline::after(10s)).status == 304);
}

TEST_CASE("a sink receives a body in pieces without a limit, until the engine closes the connection") {
  const std::string piece(1U << 16, 'x');
  const FakeEngine engine([&](const std::string&, int connection) {
    send_bytes(connection, "HTTP/1.1 200 OK\r\n\r\n");
    for (std::size_t sent = 0; sent <= engine::kLargestBody; sent += piece.size())
      send_bytes(connection, piece);
    return false;
  });
  std::size_t got = 0;
  const auto answer =
      Transport({engine.socket(), "--engine"}).get("/stream", Deadline::after(30s), [&](auto part) {
        got += part.size();
      });
  CHECK(got == engine::kLargestBody + piece.size());
  CHECK(answer.body.empty());
}

TEST_CASE("a sink gets each piece as soon as the engine sends it") {
  std::atomic<bool> seen = false;
  const FakeEngine* self = nullptr;
  const FakeEngine engine([&](const std::string&, int connection) {
    send_bytes(connection, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    while (!seen && !self->ending()) std::this_thread::sleep_for(1ms);
    send_bytes(connection, "3\r\ntwo\r\n0\r\n\r\n");
    return true;
  });
  self = &engine;
  std::string all;
  Transport({engine.socket(), "--engine"}).post("/stream", {}, Deadline::after(10s), [&](auto part) {
    all += part;
    seen = true;
  });
  CHECK(all == "onetwo");
}

TEST_CASE("an error status never reaches the sink") {
  const FakeEngine engine([](const std::string&, int connection) {
    send_bytes(connection, http(404, R"({"message":"no such image"})"));
    return true;
  });
  try {
    Transport({engine.socket(), "--engine"}).post("/stream", {}, Deadline::after(10s), [](auto) {
      FAIL_CHECK("the sink was called");
    });
    FAIL("the request succeeded");
  } catch (const Error& error) {
    CHECK(std::string(error.what()) == "no such image");
  }
}

TEST_CASE("a sink's exception propagates, and the next request uses a new connection") {
  const FakeEngine engine([](const std::string&, int connection) {
    send_bytes(connection, http(200, "body"));
    return true;
  });
  Transport transport({engine.socket(), "--engine"});
  CHECK_THROWS_WITH_AS(
      transport.get("/a", Deadline::after(10s), [](auto) { throw std::out_of_range("enough"); }), "enough",
      std::out_of_range);
  CHECK(transport.get("/b", Deadline::after(10s)).body == "body");
  CHECK(engine.connections() == 2);
}

TEST_CASE("an endless stream is cut at the deadline, and the error says so") {
  const FakeEngine* self = nullptr;
  const FakeEngine engine([&](const std::string&, int connection) {
    send_bytes(connection, "HTTP/1.1 200 OK\r\n\r\n");
    while (::send(connection, "x", 1, MSG_NOSIGNAL) == 1 && !self->ending()) std::this_thread::sleep_for(1ms);
    return false;
  });
  self = &engine;
  try {
    Transport({engine.socket(), "--engine"}).get("/stream", Deadline::after(100ms), [](auto) {});
    FAIL("the request succeeded");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::timed_out);
    CHECK(contains(error.what(), "the answer had not ended in time"));
  }
}

TEST_CASE("one connection serves many requests, also after an error status") {
  int calls = 0;
  const FakeEngine engine([&](const std::string&, int connection) {
    send_bytes(connection, ++calls == 2 ? http(500, "{}") : http(200, "x"));
    return true;
  });
  Transport transport({engine.socket(), "--engine"});
  CHECK(transport.get("/a", Deadline::after(10s)).body == "x");
  CHECK_THROWS_AS(transport.get("/b", Deadline::after(10s)), Error);
  CHECK(transport.get("/c", Deadline::never()).body == "x");
  CHECK(engine.connections() == 1);
}

TEST_CASE("a connection that the engine closed between requests is reopened") {
  const FakeEngine engine([](const std::string&, int connection) {
    send_bytes(connection, http(200, "x"));
    return false;
  });
  Transport transport({engine.socket(), "--engine"});
  for (int i = 0; i < 5; ++i) CHECK(transport.get("/a", Deadline::after(10s)).body == "x");
  CHECK(engine.connections() == 5);
}

TEST_CASE("an invalid version header is ignored") {
  const FakeEngine engine([](const std::string&, int connection) {
    send_bytes(connection,
               http(200, "x", "Api-Version: ../1.41\r\nLibpod-Api-Version: 11111111111111111.1\r\n"));
    return true;
  });
  const auto answer = Transport({engine.socket(), "--engine"}).get("/a", Deadline::after(10s));
  CHECK(answer.api_version.empty());
  CHECK(answer.libpod_version.empty());
}

TEST_CASE("chunked answers are reassembled, even byte by byte") {
  const FakeEngine engine([](const std::string&, int connection) {
    for (const char c :
         std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"))
      send_bytes(connection, {&c, 1});
    return true;
  });
  CHECK(Transport({engine.socket(), "--engine"}).get("/a", Deadline::after(10s)).body == "abcde");
}

TEST_CASE("error statuses carry the engine's message") {
  const auto missing = failure_of_bytes(http(404, R"({"message":"No such container: x"})"));
  CHECK(missing.code() == Errc::not_found);
  CHECK(std::string(missing.what()) == "No such container: x");
  const auto broken = failure_of_bytes(http(500, R"({"message":"disk on fire"})"));
  CHECK(broken.code() == Errc::engine_error);
  CHECK(contains(broken.what(), "the container engine says: disk on fire"));
  CHECK(contains(failure_of_bytes(http(400, "")).what(), "HTTP status 400"));
  CHECK(contains(failure_of_bytes(http(503, "<html>\x1b[31mno</html>")).what(), "<html>\\x1b[31mno</html>"));
  CHECK(failure_of_bytes(http(404, "")).code() == Errc::not_found);
  const auto taken = failure_of_bytes(http(409, R"({"message":"the name is in use"})"));
  CHECK(taken.code() == Errc::conflict);
  CHECK(std::string(taken.what()) == "the name is in use");
  CHECK(failure_of_bytes(http(409, "")).code() == Errc::conflict);
  CHECK(contains(failure_of_bytes(http(409, "")).what(), "HTTP status 409"));
}

TEST_CASE("no redirect is followed") {
  const FakeEngine engine([](const std::string&, int connection) {
    send_bytes(connection, http(301, "", "Location: /elsewhere\r\n"));
    return true;
  });
  CHECK(failure_of(engine.socket()).code() == Errc::not_found);
  CHECK(engine.requests().size() == 1);
}

TEST_CASE("an incomplete HTTP answer is an engine error that names the call") {
  const std::array<std::string, 7> answers{
      "",                                                              // hangs up immediately
      "HTTP/1.1 200 OK\r\nContent-Le",                                 // in the headers
      "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",            // in the body
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",  // in a chunk
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",   // no chunk
      "SSH-2.0-OpenSSH_9.2\r\n",                                       // another protocol
      std::string("\x00\xff\x16\x03\x01", 5),
  };
  for (const auto& bytes : answers) {
    CAPTURE(bytes);
    const auto error = failure_of_bytes(bytes);
    CHECK(error.code() == Errc::engine_error);
    CHECK(contains(error.what(), "GET /things on "));
  }
}

TEST_CASE("an engine that hangs at any point times out at the deadline") {
  const std::array<std::string, 3> beginnings{"", "HTTP/1.1 200 OK\r\n",
                                              "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"};
  for (const auto& beginning : beginnings) {
    CAPTURE(beginning);
    const FakeEngine engine([&](const std::string&, int connection) {
      send_bytes(connection, beginning);
      return true;
    });
    const auto start = Deadline::Clock::now();
    const auto error = failure_of(engine.socket(), Deadline::after(100ms));
    const auto took = Deadline::Clock::now() - start;
    CHECK(error.code() == Errc::timed_out);
    CHECK(contains(error.what(), "/things"));
    CHECK(contains(error.what(), engine.socket()));
    CHECK(took >= 95ms);
    CHECK(took < 5s);
  }
}

TEST_CASE("a request with a passed deadline sends nothing") {
  const FakeEngine engine([](const std::string&, int) { return false; });
  CHECK(failure_of(engine.socket(), Deadline::after(0ms)).code() == Errc::timed_out);
  CHECK(engine.connections() == 0);
}

TEST_CASE("endless answers end at the limit, body and headers alike") {
  for (const bool headers : {false, true}) {
    CAPTURE(headers);
    const FakeEngine* self = nullptr;
    const std::string piece =
        headers ? "X-More: " + std::string(4000, 'x') + "\r\n" : std::string(1U << 16, 'x');
    std::size_t sent = 0;
    const FakeEngine engine([&](const std::string&, int connection) {
      send_bytes(connection, headers ? "HTTP/1.1 200 OK\r\n" : "HTTP/1.1 200 OK\r\n\r\n");
      // Ends when the peer hangs up; otherwise the test fails.
      while (::send(connection, piece.data(), piece.size(), MSG_NOSIGNAL) > 0 &&
             sent < 10 * engine::kLargestBody && !self->ending())
        sent += piece.size();
      return false;
    });
    self = &engine;
    const auto error = failure_of(engine.socket(), Deadline::after(30s));
    CHECK(error.code() == Errc::engine_error);
    CHECK(contains(error.what(), headers ? "headers grew too large" : "body grew too large"));
    CHECK(sent < 2 * engine::kLargestBody);
  }
}

TEST_CASE("a body of exactly the limit passes") {
  const FakeEngine engine([](const std::string&, int connection) {
    send_bytes(connection, http(200, std::string(engine::kLargestBody, 'x')));
    return true;
  });
  CHECK(Transport({engine.socket(), "--engine"}).get("/a", Deadline::after(30s)).body.size() ==
        engine::kLargestBody);
}

TEST_CASE("no socket, a dead socket, a file that is not a socket: unavailable, with a remedy") {
  const test::TempDir dir;
  const auto missing = (dir.path() / "none.sock").string();
  const auto file = (dir.path() / "file").string();
  replace_file(file, "not a socket", 0600);
  const auto dead = (dir.path() / "dead.sock").string();
  {
    const FakeEngine engine([](const std::string&, int) { return false; });
    std::filesystem::create_hard_link(engine.socket(), dead);
  }
  for (const auto& path : {missing, file, dead}) {
    CAPTURE(path);
    const auto error = failure_of(path);
    CHECK(error.code() == Errc::engine_unavailable);
    CHECK(contains(error.what(), path));
    CHECK(contains(error.hint(), "DOCKER_HOST"));
  }
}

TEST_CASE("a hanging engine with a full connection queue is not waited for") {
  const test::TempDir dir;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto path = (dir.path() / "full.sock").string();
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const auto* const where = reinterpret_cast<const sockaddr*>(&address);
  const Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::bind(listener.get(), where, sizeof address) == 0);
  REQUIRE(::listen(listener.get(), 0) == 0);
  const Fd waiting(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::connect(waiting.get(), where, sizeof address) == 0);

  const auto error = failure_of(path);
  CHECK(error.code() == Errc::engine_unavailable);
  CHECK(contains(error.what(), "it takes no more connections"));
}

TEST_CASE("the error for a socket without permission says who may open it") {
  const FakeEngine engine([](const std::string&, int connection) {
    send_bytes(connection, http(200, "x"));
    return true;
  });
  // The folder is open to all and the socket closed even to its owner, because any user may run the tests.
  // File modes do not stop root, so root first becomes the user nobody, in a separate process.
  std::filesystem::permissions(std::filesystem::path(engine.socket()).parent_path(),
                               std::filesystem::perms{0755});
  std::filesystem::permissions(engine.socket(), std::filesystem::perms{0});
  const bool root = ::getuid() == 0;
  const std::string group = root ? "group that owns the socket, daemon" : "group that owns the socket";
  if (root) REQUIRE(::chown(engine.socket().c_str(), 0, 1) == 0);
  static_cast<void>(engine::Curl::get());  // load it here: the child of a threaded process must not

  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (root && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(1);
    try {
      Transport({engine.socket(), "--engine"}).get("/things", Deadline::after(5s));
    } catch (const Error& error) {
      if (error.code() != Errc::not_authorised) ::_exit(3);
      if (!contains(error.what(), engine.socket())) ::_exit(4);
      if (!contains(error.what(), "Permission denied")) ::_exit(5);
      ::_exit(contains(error.hint(), group) ? 0 : 6);
    }
    ::_exit(2);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("a path longer than a socket address is refused by name, the longest that fits is tried") {
  const std::string longest = "/" + std::string(106, 'x');
  CHECK(failure_of(longest).code() == Errc::engine_unavailable);
  try {
    Transport({longest + "x", "DOCKER_HOST"});
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::invalid_argument);
    CHECK(contains(error.what(), "108 bytes"));
    CHECK(contains(error.what(), "DOCKER_HOST"));
  }
}

TEST_CASE("proxies in the environment are not used") {
  const FakeEngine engine([](const std::string&, int connection) {
    send_bytes(connection, http(200, "direct"));
    return true;
  });
  ::setenv("http_proxy", "http://127.0.0.1:9", 1);
  CHECK(Transport({engine.socket(), "--engine"}).get("/a", Deadline::after(10s)).body == "direct");
  ::unsetenv("http_proxy");
}

TEST_CASE("an odd name arrives at the engine as one segment") {
  const FakeEngine engine([](const std::string&, int connection) {
    send_bytes(connection, http(200, "x"));
    return true;
  });
  Transport transport({engine.socket(), "--engine"});
  for (const char* name : {"../../info", "..", "a b", "$(id);`id`", "x?y#z"})
    transport.get("/networks/" + engine::path_segment(name), Deadline::after(10s));
  const auto lines = engine.requests();
  REQUIRE(lines.size() == 5);
  CHECK(lines[0] == "GET /networks/..%2F..%2Finfo HTTP/1.1");
  CHECK(lines[1] == "GET /networks/%2E%2E HTTP/1.1");
  CHECK(lines[2] == "GET /networks/a%20b HTTP/1.1");
  CHECK(lines[3] == "GET /networks/%24%28id%29%3B%60id%60 HTTP/1.1");
  CHECK(lines[4] == "GET /networks/x%3Fy%23z HTTP/1.1");
}

TEST_CASE("without libcurl the error names the package to install") {
  try {
    engine::Curl::load({"libhostnet-no-such-thing.so.1", "libhostnet-nor-this.so"});
    FAIL("loaded");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::engine_unavailable);
    CHECK(contains(error.hint(), "libcurl4"));
    CHECK(contains(error.what(), "libhostnet-no-such-thing.so.1"));
  }
  CHECK_THROWS_AS(engine::Curl::load({"libdl.so.2"}), Error);
}

TEST_CASE("threads may load libcurl concurrently, and share one table") {
  std::vector<std::jthread> threads;
  std::array<const engine::Curl*, 8> tables{};
  for (auto& table : tables) threads.emplace_back([&table] { table = &engine::Curl::get(); });
  threads.clear();
  for (const auto* table : tables) CHECK(table == tables.front());
}
