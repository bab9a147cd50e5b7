// Waiting for a sidecar's sshd: whose fault it is when nothing comes.
#include "hostnet/error.hpp"
#include "path/sidecar/dial.hpp"
#include "support/expect_error.hpp"
#include "support/sockets.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <thread>

using namespace hostnet;
using namespace std::chrono_literals;

namespace {

// What is said at the end of the deadline where a silent service is dialled.
std::string said(std::chrono::milliseconds limit, std::chrono::milliseconds look) {
  const auto silent = test::open_socket();
  auto address = test::socket_address({test::ip("127.0.0.1"), 0});
  test::check_call(::bind(silent.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  test::check_call(::listen(silent.get(), 8), "listen");
  socklen_t length = sizeof address;
  test::check_call(::getsockname(silent.get(), reinterpret_cast<sockaddr*>(&address), &length),
                   "getsockname");
  const auto deadline = Deadline::after(limit);
  const auto error = test::error_of([&] {
    ssh::dial_sshd({test::ip("127.0.0.1"), ntohs(address.sin_port)}, deadline, [&] {
      std::this_thread::sleep_for(look);
      if (deadline.expired()) throw Error(Errc::timed_out, "the engine gave no answer in time");
    });
  });
  CHECK(error.code() == Errc::timed_out);
  return error.what();
}

}  // namespace

TEST_CASE("a look at the engine that the deadline cuts off hides nothing of sshd's silence") {
  CHECK(said(900ms, 10ms).find("it accepts the connection and sends no banner") != std::string::npos);
  CHECK(said(900ms, 800ms).find("it accepts the connection and sends no banner") != std::string::npos);
}

TEST_CASE("an engine that hangs is told as that") {
  CHECK(said(900ms, 2'300ms) == "the engine gave no answer in time");
}
