// A command's streams as a socket, against a fake engine.
#include "engine/exec_stream.hpp"
#include "hostnet/error.hpp"
#include "unit/engine/fake_engine.hpp"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <thread>

using namespace hostnet;
using namespace std::chrono_literals;
using engine::ExecStream;
using test::FakeEngine;
using test::http;
using test::send_bytes;

namespace {

constexpr std::string_view kStreamOpens =
    "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
const std::string kExecId(64, '7');

std::string exec_frame(char stream, const std::string& payload) {
  std::string out{stream, 0, 0, 0};
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(payload.size() >> shift & 0xff);
  return out + payload;
}

// `start` answers the request that starts the command.
FakeEngine::Serve engine_with(std::function<void(int)> start) {
  return [start = std::move(start)](const std::string& line, int connection) {
    if (line.find("/_ping") != std::string::npos) {
      send_bytes(connection, http(200, "OK", "Api-Version: 1.41\r\n"));
      return true;
    }
    if (line.find("/start") == std::string::npos) {
      send_bytes(connection, http(201, R"({"Id":")" + kExecId + R"("})"));
      return true;
    }
    start(connection);
    return false;
  };
}

ExecStream stream_of(const FakeEngine& engine) {
  engine::ExecSpec spec;
  spec.command = {"sshd", "-i"};
  return ExecStream({engine.socket(), "--engine"}, "c", std::move(spec), test::soon());
}

// Reads until there are so many bytes, or the end.
std::string read_some(const Fd& socket, std::size_t wanted) {
  std::string all;
  while (all.size() < wanted) {
    pollfd poll{socket.get(), POLLIN, 0};
    if (::poll(&poll, 1, 5'000) <= 0) break;
    std::array<char, 65536> buffer;
    const auto got = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (got <= 0) break;
    all.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return all;
}

}  // namespace

TEST_CASE("bytes pass in both directions, and its errors are no output") {
  const FakeEngine engine(engine_with([](int connection) {
    send_bytes(connection, std::string(kStreamOpens) + exec_frame(1, "SSH-2.0-x\r\n") +
                               exec_frame(2, "a note\nlast words\n"));
    std::array<char, 4096> buffer;
    for (ssize_t got; (got = ::recv(connection, buffer.data(), buffer.size(), 0)) > 0;)
      send_bytes(connection, exec_frame(1, std::string(buffer.data(), static_cast<std::size_t>(got))));
  }));
  auto stream = stream_of(engine);
  auto socket = stream.take_socket();
  CHECK(read_some(socket, 11) == "SSH-2.0-x\r\n");
  // More than any buffer holds, and none of it is read before all is written.
  const std::string big(3'000'000, 'x');
  std::jthread writer([&] {
    for (std::string_view rest = big; !rest.empty();) {
      const auto sent = ::send(socket.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent > 0) rest.remove_prefix(static_cast<std::size_t>(sent));
      if (sent <= 0) std::this_thread::sleep_for(1ms);
    }
  });
  CHECK(read_some(socket, big.size()) == big);
  writer.join();
  CHECK(stream.words() == "last words");
  socket.reset();  // the command's input ends, and with it the stream
  const auto limit = test::soon();
  while (!stream.is_over() && !limit.expired()) std::this_thread::sleep_for(1ms);
  CHECK(stream.is_over());
}

TEST_CASE("what is given before the command has started waits for it") {
  const FakeEngine engine(engine_with([](int connection) {
    std::this_thread::sleep_for(100ms);
    send_bytes(connection, kStreamOpens);
    std::array<char, 64> buffer;
    const auto got = ::recv(connection, buffer.data(), buffer.size(), 0);
    send_bytes(connection, exec_frame(1, std::string(buffer.data(),
                                                     static_cast<std::size_t>(std::max<ssize_t>(got, 0)))));
  }));
  auto stream = stream_of(engine);
  const auto socket = stream.take_socket();
  CHECK(::send(socket.get(), "early", 5, 0) == 5);
  CHECK(read_some(socket, 100) == "early");  // and then the end
}

TEST_CASE("a command that cannot start ends the socket, with the reason") {
  const FakeEngine engine(engine_with([](int connection) {
    send_bytes(connection, http(409, R"({"message":"container c is not running"})"));
  }));
  auto stream = stream_of(engine);
  const auto socket = stream.take_socket();
  CHECK(read_some(socket, 1).empty());
  CHECK(stream.words().find("container c is not running") != std::string::npos);
}

TEST_CASE("its end does not wait for the other side") {
  const FakeEngine engine(engine_with([](int connection) {
    send_bytes(connection, kStreamOpens);
    std::array<char, 64> buffer;
    while (::recv(connection, buffer.data(), buffer.size(), 0) > 0) {
    }
  }));
  const auto start = std::chrono::steady_clock::now();
  {
    auto stream = stream_of(engine);
    const auto socket = stream.take_socket();
    std::this_thread::sleep_for(50ms);
  }
  CHECK(std::chrono::steady_clock::now() - start < 5s);
}
