// A fake engine: a Unix socket that sends the bytes of a test, for answers that no real engine gives on
// demand.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "support/temp_dir.hpp"

#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace test {

/// Short enough for a test that hangs.
inline hostnet::Deadline soon() { return hostnet::Deadline::after(std::chrono::seconds{10}); }

class FakeEngine {
 public:
  /// Called for each request with its first line ("GET /_ping HTTP/1.1") and the connection to answer on;
  /// returning false closes that connection. Runs on the engine's thread, one request at a time; all other
  /// connections stay open.
  using Serve = std::function<bool(const std::string& request_line, int connection)>;

  explicit FakeEngine(Serve serve);
  ~FakeEngine();
  FakeEngine(const FakeEngine&) = delete;
  FakeEngine& operator=(const FakeEngine&) = delete;

  [[nodiscard]] const std::string& socket() const { return socket_; }
  /// The first lines of all requests so far.
  [[nodiscard]] std::vector<std::string> requests() const;
  /// Their bodies by Content-Length (empty without one), one entry per request, in the same order.
  [[nodiscard]] std::vector<std::string> bodies() const;
  [[nodiscard]] int connections() const;
  /// Set while the engine ends: a waiting Serve must check it.
  [[nodiscard]] bool ending() const { return thread_.get_stop_token().stop_requested(); }

 private:
  struct Connection {
    hostnet::Fd fd;
    std::string input;  // Of incomplete requests.
  };
  void run(const std::stop_token& stop, const Serve& serve);
  // Whether the connection stays open.
  bool talk(Connection& connection, const Serve& serve);

  TempDir dir_;
  std::string socket_ = (dir_.path() / "engine.sock").string();
  int listener_ = -1;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::vector<std::string> bodies_;
  int connections_ = 0;
  std::jthread thread_;
};

/// Sends all bytes; ignores a peer that is gone.
void send_bytes(int connection, std::string_view bytes);

/// A complete response.
std::string http(int status, std::string_view body, std::string_view headers = {});

/// An engine that answers each path (without its query) with the body given, "/_ping" with the headers given,
/// and any other path with 404.
FakeEngine::Serve serve_paths(std::vector<std::pair<std::string, std::string>> bodies,
                              std::string ping_headers);

/// The text of tests/unit/engine/data/<name>: an answer taken from a real engine.
std::string fixture(const std::string& name);

}  // namespace test
