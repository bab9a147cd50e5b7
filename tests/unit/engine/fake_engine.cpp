// The fake engine's thread.
#include "unit/engine/fake_engine.hpp"

#include "core/file.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>

namespace test {
namespace {

// The length of a request's body by its headers.
std::size_t body_length(std::string_view head) {
  constexpr std::string_view name = "\r\nContent-Length: ";
  const auto at = head.find(name);
  return at == std::string_view::npos ? 0 : std::stoul(std::string(head.substr(at + name.size())));
}

}  // namespace

FakeEngine::FakeEngine(Serve serve) {
  listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket_.c_str(), sizeof address.sun_path - 1);
  if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener_, 8) != 0)
    throw std::runtime_error("the fake engine cannot listen");
  thread_ = std::jthread([this, serve = std::move(serve)](const std::stop_token& stop) { run(stop, serve); });
}

FakeEngine::~FakeEngine() {
  thread_.request_stop();
  ::shutdown(listener_, SHUT_RDWR);
  thread_.join();
  ::close(listener_);
}

std::vector<std::string> FakeEngine::requests() const {
  const std::scoped_lock lock(mutex_);
  return requests_;
}

std::vector<std::string> FakeEngine::bodies() const {
  const std::scoped_lock lock(mutex_);
  return bodies_;
}

int FakeEngine::connections() const {
  const std::scoped_lock lock(mutex_);
  return connections_;
}

void FakeEngine::run(const std::stop_token& stop, const Serve& serve) {
  std::vector<Connection> open;
  while (!stop.stop_requested()) {
    std::vector<pollfd> readable{{listener_, POLLIN, 0}};
    for (const auto& connection : open) readable.push_back({connection.fd.get(), POLLIN, 0});
    if (::poll(readable.data(), readable.size(), 10) <= 0) continue;
    for (std::size_t i = open.size(); i-- > 0;)
      if (readable[i + 1].revents != 0 && !talk(open[i], serve))
        open.erase(open.begin() + static_cast<std::ptrdiff_t>(i));
    if (readable[0].revents == 0) continue;
    hostnet::Fd accepted(::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC));
    if (!accepted) continue;
    open.push_back({std::move(accepted), {}});
    const std::scoped_lock lock(mutex_);
    ++connections_;
  }
}

bool FakeEngine::talk(Connection& connection, const Serve& serve) {
  std::array<char, 4096> buffer;
  const auto got = ::read(connection.fd.get(), buffer.data(), buffer.size());
  if (got <= 0) return false;
  auto& input = connection.input;
  input.append(buffer.data(), static_cast<std::size_t>(got));
  for (auto end = input.find("\r\n\r\n"); end != std::string::npos; end = input.find("\r\n\r\n")) {
    const auto head = input.substr(0, end);
    const auto length = body_length(head);
    if (input.size() < end + 4 + length) break;
    const auto line = head.substr(0, head.find("\r\n"));
    {
      const std::scoped_lock lock(mutex_);
      requests_.push_back(line);
      bodies_.push_back(input.substr(end + 4, length));
    }
    input.erase(0, end + 4 + length);
    if (!serve(line, connection.fd.get())) return false;
  }
  return true;
}

void send_bytes(int connection, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

std::string http(int status, std::string_view body, std::string_view headers) {
  return fmt::format("HTTP/1.1 {} Status\r\nContent-Length: {}\r\n{}\r\n{}", status, body.size(), headers,
                     body);
}

FakeEngine::Serve serve_paths(std::vector<std::pair<std::string, std::string>> bodies,
                              std::string ping_headers) {
  return [bodies = std::move(bodies), ping_headers = std::move(ping_headers)](const std::string& line,
                                                                              int connection) {
    const auto begin = line.find(' ') + 1;
    const auto path = line.substr(begin, line.find_first_of(" ?", begin) - begin);
    if (path == "/_ping") {
      send_bytes(connection, http(200, "OK", ping_headers));
      return true;
    }
    for (const auto& [known, body] : bodies)
      if (path == known) {
        send_bytes(connection, http(200, body));
        return true;
      }
    send_bytes(connection, http(404, R"({"message":"no such thing here"})"));
    return true;
  };
}

std::string fixture(const std::string& name) {
  return hostnet::read_file(TEST_SOURCE_ROOT "/unit/engine/data/" + name);
}

}  // namespace test
