// Checks each kind of condition.
#include "container/wait.hpp"

#include "container/condition.hpp"
#include "container/ports.hpp"
#include "core/file.hpp"
#include "core/strings.hpp"
#include "engine/alias.hpp"
#include "engine/containers.hpp"
#include "engine/http_probe.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <thread>

namespace hostnet::container {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kShortestPause{10};
constexpr milliseconds kLongestPause{200};
constexpr milliseconds kOneTry{2000};

[[noreturn]] void time_is_up() { throw Error(Errc::timed_out, "the condition was not met in time"); }

[[noreturn]] void has_ended(const engine::Container& container) {
  throw Error(Errc::failure, fmt::format("the container has ended, exit code {}", container.exit_code));
}

// Calls `is_met` until it returns true, with pauses that grow from 10 ms to 200 ms. @throws Error{timed_out}
// at the deadline.
template <class IsMet>
void poll(Deadline deadline, IsMet is_met) {
  for (auto pause = kShortestPause;; pause = std::min(kLongestPause, pause * 3 / 2)) {
    if (is_met()) return;
    if (deadline.expired()) time_is_up();
    std::this_thread::sleep_for(std::min(pause, deadline.remaining()));
  }
}

struct Found {};

class Waiting {
 public:
  Waiting(const Awaited& container, Deadline deadline)
      : container_(container), deadline_(deadline), client_(container.engine), containers_(client_) {}

  void operator()(const WaitFor::Condition::Duration& duration) {
    if (duration.span > deadline_.remaining()) {
      std::this_thread::sleep_for(deadline_.remaining());
      time_is_up();
    }
    std::this_thread::sleep_for(duration.span);
  }

  void operator()(const WaitFor::Condition::Message& message) {
    Finder finder(message.text, message.times);
    const auto wanted = message.stream == OutputStream::out ? engine::Stream::out : engine::Stream::err;
    try {
      containers_.follow_output(
          container_.id,
          [&](engine::Stream stream, std::string_view piece) {
            if (stream == wanted && finder.feed(piece)) throw Found{};
          },
          deadline_);
    } catch (const Found&) {
      return;
    } catch (const Error& error) {
      if (error.code() == Errc::timed_out) time_is_up();
      throw;
    }
    // The output has ended; the engine may notice the container's end a moment later.
    poll(deadline_, [&] { return !look().running; });
    has_ended(look());
  }

  void operator()(const WaitFor::Condition::Exit& exit) {
    const int code = [&] {
      try {
        return containers_.wait(container_.id, deadline_);
      } catch (const Error& error) {
        if (error.code() == Errc::timed_out) time_is_up();
        throw;
      }
    }();
    if (exit.code && code != *exit.code)
      throw Error(Errc::failure, fmt::format("the container has ended, exit code {}", code));
  }

  void operator()(const WaitFor::Condition::Healthy&) {
    poll(deadline_, [&] {
      const auto now = running();
      if (now.health.empty())
        throw Error(Errc::failure, "the container has no health check",
                    "add one: with_health_check(), or HEALTHCHECK in its image");
      if (now.health == "unhealthy") throw Error(Errc::failure, "the engine reports it unhealthy");
      return now.health == "healthy";
    });
  }

  void operator()(const WaitFor::Condition::Http& http) {
    poll(deadline_, [&] {
      const auto port = host_port(running(), http.port, Family::ipv4);
      const auto limit = Deadline::after(std::min(kOneTry, deadline_.remaining()));
      return engine::http_status(http_url(container_.engine, port, http.path), limit) == http.status;
    });
  }

  void operator()(const WaitFor::Condition::Listening& listening) {
    poll(deadline_, [&] { return has_listener(listeners(running()), listening.port.number); });
  }

 private:
  engine::Container look() {
    try {
      return client_.container(container_.id, deadline_);
    } catch (const Error& error) {
      if (error.code() == Errc::timed_out) time_is_up();
      throw;
    }
  }

  engine::Container running() {
    auto now = look();
    if (!now.running) has_ended(now);
    return now;
  }

  // Reads /proc from outside if the container's processes are on this machine, with the same evidence as for
  // its hosts file (alias_record()); else runs a command inside.
  std::string listeners(const engine::Container& now) {
    try {
      if (client_.why_remote(deadline_)) return listeners_inside();
      engine::alias_record(now);
      const auto tcp = try_read_file(fmt::format("/proc/{}/net/tcp", now.pid));
      const auto tcp6 = try_read_file(fmt::format("/proc/{}/net/tcp6", now.pid));
      if (tcp) return *tcp + tcp6.value_or("");
    } catch (const Error&) {
      // Not readable from outside: read inside.
    }
    return listeners_inside();
  }

  std::string listeners_inside() {
    engine::ExecSpec command;
    command.command = {"cat", "/proc/net/tcp", "/proc/net/tcp6"};
    engine::ExecResult result;
    try {
      result = containers_.exec(container_.id, command, deadline_);
    } catch (const Error& error) {
      if (error.code() == Errc::conflict) return {};  // it has just ended; the next poll reports it
      throw;
    }
    if (result.exit_code != 126 && result.exit_code != 127) return std::move(result.out);
    // A container that is ending cannot run a command either, and the engine may notice its end a moment
    // later.
    for (const auto patience = Deadline::after(kOneTry); look().running;
         std::this_thread::sleep_for(std::chrono::milliseconds{50}))
      if (patience.expired())
        throw Error(Errc::failure, "its listeners are not readable: it has no cat",
                    "wait for a message, or for an HTTP status");
    return {};
  }

  const Awaited& container_;
  Deadline deadline_;
  engine::Client client_;
  engine::Containers containers_;
};

bool is_loopback(std::string_view address) {
  std::uint32_t last = 0;
  const auto word = address.substr(address.size() - 8);
  if (std::from_chars(word.data(), word.data() + word.size(), last, 16).ec != std::errc{}) return false;
  if (address.size() == 8) return Ipv4::from_network(last).is_loopback();
  // ::1, and IPv4 loopback mapped into IPv6.
  const auto rest = address.substr(0, 24);
  if (rest == "000000000000000000000000") return Ipv4::from_network(last) == Ipv4{1};
  return rest.ends_with("FFFF0000") && Ipv4::from_network(last).is_loopback();
}

}  // namespace

void wait_for(const Awaited& container, const WaitFor& condition, Deadline deadline) {
  std::visit(Waiting(container, deadline), condition.condition().kind);
}

bool has_listener(std::string_view table, std::uint16_t port) {
  const auto wanted = fmt::format("{:04X}", port);
  for (const auto line : split(table, '\n')) {
    std::vector<std::string_view> fields;
    for (const auto field : split(line, ' '))
      if (!field.empty()) fields.push_back(field);
    // "0: 00000000:1F90 00000000:0000 0A …"; 0A is TCP_LISTEN.
    if (fields.size() < 4 || fields[3] != "0A") continue;
    const auto colon = fields[1].find(':');
    if (colon != 8 && colon != 32) continue;
    if (fields[1].substr(colon + 1) == wanted && !is_loopback(fields[1].substr(0, colon))) return true;
  }
  return false;
}

bool Finder::feed(std::string_view piece) {
  kept_ += piece;
  std::size_t at = 0;
  while (left_ > 0) {
    const auto found = kept_.find(text_, at);
    if (found == std::string::npos) break;
    at = found + text_.size();
    --left_;
  }
  const auto keep = std::min(text_.size() - 1, kept_.size() - at);
  kept_.erase(0, kept_.size() - keep);
  return left_ == 0;
}

}  // namespace hostnet::container
