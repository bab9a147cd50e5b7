// A request that becomes a stream in both directions, against a fake engine.
#include "engine/conversation.hpp"
#include "hostnet/error.hpp"
#include "support/expect_error.hpp"
#include "unit/engine/fake_engine.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <string>
#include <thread>

using namespace hostnet;
using namespace std::chrono_literals;
using engine::converse;
using test::FakeEngine;
using test::send_bytes;

namespace {

constexpr std::string_view kUpgrade = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";

std::string read_to_end(int connection) {
  std::string all;
  std::array<char, 4096> buffer;
  for (ssize_t got; (got = ::read(connection, buffer.data(), buffer.size())) > 0;)
    all.append(buffer.data(), static_cast<std::size_t>(got));
  return all;
}

std::string talk(const FakeEngine& engine, std::string_view input, std::chrono::milliseconds limit = 10s) {
  std::string said;
  converse({engine.socket(), "--engine"}, "/v1.41/exec/0a/start", "{}", input, Deadline::after(limit),
           [&](std::string_view piece) { said += piece; });
  return said;
}

FakeEngine::Serve once(std::function<void(int)> serve) {
  return [serve = std::move(serve)](const std::string&, int connection) {
    serve(connection);
    return false;
  };
}

}  // namespace

TEST_CASE("input and its end are sent, and the output arrives completely") {
  const std::string input(1'000'000, 'x');
  const FakeEngine engine(once([](int connection) {
    send_bytes(connection, kUpgrade);
    send_bytes(connection, read_to_end(connection));
  }));
  CHECK(talk(engine, input) == input);
  CHECK(engine.requests().at(0) == "POST /v1.41/exec/0a/start HTTP/1.1");
  CHECK(engine.bodies().at(0) == "{}");
}

TEST_CASE("an engine that never stops sending is cut at the deadline") {
  const FakeEngine engine(once([](int connection) {
    send_bytes(connection, kUpgrade);
    const std::string piece(1U << 16, 'x');
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (std::chrono::steady_clock::now() < end &&
           ::send(connection, piece.data(), piece.size(), MSG_NOSIGNAL) > 0) {
    }
  }));
  std::size_t received = 0;
  CHECK(test::error_of([&] {
          converse({engine.socket(), "--engine"}, "/v1.41/exec/0a/start", "{}", "", Deadline::after(300ms),
                   [&](std::string_view piece) {
                     received += piece.size();
                     std::this_thread::sleep_for(1ms);  // so that there is always more to read
                   });
        }).code() == Errc::timed_out);
  CHECK(received > 0);
}

TEST_CASE("empty input ends immediately; a status of 200 is accepted") {
  const FakeEngine engine(once([](int connection) {
    send_bytes(connection, "HTTP/1.1 200 OK\r\n\r\nbefore ");
    send_bytes(connection, read_to_end(connection) + "after");
  }));
  CHECK(talk(engine, "") == "before after");
}

TEST_CASE("unread input does not hang") {
  const FakeEngine engine(
      once([](int connection) { send_bytes(connection, std::string(kUpgrade) + "done"); }));
  CHECK(talk(engine, std::string(4'000'000, 'x')).starts_with("done"));
}

TEST_CASE("refusals, silence and invalid answers") {
  const auto error_from = [](std::string_view answer, std::chrono::milliseconds limit = 10s) {
    const FakeEngine engine(once([answer](int connection) { send_bytes(connection, answer); }));
    return test::error_of([&] { talk(engine, "", limit); });
  };
  CHECK(error_from("HTTP/1.1 409 Conflict\r\n\r\n{\"message\":\"not running\"}").code() == Errc::conflict);
  CHECK(error_from("HTTP/1.1 404 Not Found\r\n\r\n").code() == Errc::not_found);
  CHECK(error_from("HTTP/1.1 500 No\r\n\r\n{\"message\":\"broken\"}").code() == Errc::engine_error);
  CHECK(error_from("").code() == Errc::engine_error);
  CHECK(error_from("HTTP/1.1 101").code() == Errc::engine_error);
  CHECK(error_from("nonsense\r\n\r\n").code() == Errc::engine_error);
  CHECK(error_from(std::string(100'000, 'h')).code() == Errc::engine_error);
  const FakeEngine silent([](const std::string&, int) { return true; });
  CHECK(test::error_of([&] { talk(silent, "", 200ms); }).code() == Errc::timed_out);
  CHECK(
      test::error_of([&] {
        converse({"/nosuch.sock", "--engine"}, "/x", "{}", "", Deadline::after(1s), [](std::string_view) {});
      }).code() == Errc::engine_unavailable);
}
