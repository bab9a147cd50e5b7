// Sends the request, reads the answer's headers, then carries the stream.
#include "engine/conversation.hpp"

#include "engine/cutoff.hpp"
#include "engine/raw_http.hpp"
#include "engine/transport_error.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

namespace hostnet::engine {
namespace {

constexpr std::chrono::milliseconds kConversationLook{1000};

class Conversation {
 public:
  Conversation(const Address& address, std::string call, Deadline deadline)
      : wire_(address, deadline), call_(std::move(call)), deadline_(deadline) {}

  // Sends and receives at the same time, because either end may wait for the other. Returns false when the
  // engine has ended its output.
  bool turn(std::string_view& out, bool end_after, std::string& in) {
    pollfd poll{wire_.fd(), POLLIN, 0};
    if (!out.empty()) poll.events |= POLLOUT;
    // At most one look, because the cutoff may move to an earlier time meanwhile.
    const auto span = std::min(before_cutoff(deadline_).remaining(), kConversationLook);
    const int ready = ::poll(&poll, 1, static_cast<int>(span.count()));
    if (ready < 0 && errno != EINTR) throw Error::from_errno("poll", errno);
    if (stopped_for() >= std::chrono::milliseconds{0})
      throw Error(Errc::timed_out, fmt::format("{}: this process was told to stop", call_));
    // Check here too: poll() never waits while the engine keeps sending.
    if (before_cutoff(deadline_).expired())
      throw Error(Errc::timed_out, fmt::format("{}: the answer had not ended in time", call_));
    if ((poll.revents & POLLOUT) != 0) {
      const auto sent = wire_.send(out);
      if (sent > 0) {
        out.remove_prefix(static_cast<std::size_t>(sent));
        if (out.empty() && end_after) wire_.end_output();
      } else if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        out = {};  // the engine refuses the rest; its answer still comes
      }
    }
    if ((poll.revents & (POLLIN | POLLHUP | POLLERR)) == 0) return true;
    std::array<char, 16384> buffer;
    const auto got = wire_.receive(buffer.data(), buffer.size());
    if (got > 0) in.append(buffer.data(), static_cast<std::size_t>(got));
    // An engine resets the stream if it has not read all input.
    if (got < 0 && errno == ECONNRESET && answered_) return false;
    if (got < 0 && errno != EAGAIN && errno != EINTR) throw broken_off(call_);
    return got != 0;
  }

  // The headers are complete: a reset now counts as a normal end.
  void answered() { answered_ = true; }
  void end_output() { wire_.end_output(); }
  [[nodiscard]] bool can_end_output() const { return wire_.can_end_output(); }
  [[nodiscard]] Wire& wire() { return wire_; }

 private:
  Wire wire_;
  std::string call_;
  Deadline deadline_;
  bool answered_ = false;
};

// Sends the request and reads the answer's headers. Returns the beginning of the stream; `more` is false if the
// engine has ended it.
std::string upgrade(Conversation& conversation, const std::string& call, const std::string& path,
                    std::string_view json, bool& more) {
  const auto request = fmt::format(
      "POST {} HTTP/1.1\r\nHost: engine\r\nContent-Type: application/json\r\nContent-Length: {}\r\n"
      "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n{}",
      path, json.size(), json);
  std::string_view out = request;
  std::string in;
  std::size_t head = std::string::npos;
  while (more && head == std::string::npos) {
    const auto seen = in.size();
    more = conversation.turn(out, false, in);
    head = end_of_head(in, seen);
    if (in.size() > kLargestHead && head == std::string::npos)
      throw Error(Errc::engine_error, fmt::format("{}: the answer's headers grew too large", call));
  }
  if (head == std::string::npos) throw broken_off(call);
  Response answer{.call = call, .status = status_of(in)};
  in.erase(0, head + 4);
  // Docker answers 101. Podman 4 answers 101 or, like old versions of Docker, 200, and streams all the same.
  if (answer.status != 101) {
    answer.body = in;
    check_status(answer);
  }
  conversation.answered();
  return in;
}

// Carries an attachment. Waits without a time limit: the caller's `stop` ends it.
class Carrier {
 public:
  Carrier(Conversation& conversation, const AttachEnds& ends)
      : conversation_(conversation), wire_(conversation.wire()), ends_(ends), has_input_(ends.input >= 0) {}

  // False at the end.
  bool turn() {
    std::array<pollfd, 3> polls{{{wire_.fd(), POLLIN, 0}, {-1, POLLIN, 0}, {ends_.stop, POLLIN, 0}}};
    if (!pending_.empty()) polls[0].events |= POLLOUT;
    if (has_input_ && pending_.empty()) polls[1].fd = ends_.input;
    if (::poll(polls.data(), polls.size(), -1) < 0 && errno != EINTR) throw Error::from_errno("poll", errno);
    if (polls[2].revents != 0) return stop();
    if (polls[1].revents != 0 && !take_input()) return false;
    if ((polls[0].revents & POLLOUT) != 0 && !send()) return false;
    return (polls[0].revents & (POLLIN | POLLHUP | POLLERR)) == 0 || receive();
  }
  [[nodiscard]] bool stopped_here() const noexcept { return stopped_here_; }

 private:
  bool take_input() {
    std::array<char, 16384> buffer;
    const auto got = ::read(ends_.input, buffer.data(), buffer.size());
    if (got > 0) pending_.assign(buffer.data(), static_cast<std::size_t>(got));
    if (got > 0 || (got < 0 && (errno == EINTR || errno == EAGAIN))) return true;
    has_input_ = false;
    if (!conversation_.can_end_output()) return stop();
    conversation_.end_output();
    return true;
  }

  bool stop() {
    stopped_here_ = true;
    return false;
  }

  bool send() {
    const auto sent = wire_.send(pending_);
    if (sent > 0) pending_.erase(0, static_cast<std::size_t>(sent));
    if (sent >= 0 || errno == EAGAIN || errno == EINTR) return true;
    pending_.clear();  // the container has closed its input; its output still comes
    has_input_ = false;
    return true;
  }

  bool receive() {
    std::array<char, 16384> buffer;
    const auto got = wire_.receive(buffer.data(), buffer.size());
    if (got > 0 && ends_.sink) ends_.sink(std::string_view(buffer.data(), static_cast<std::size_t>(got)));
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
  }

  Conversation& conversation_;
  Wire& wire_;
  const AttachEnds& ends_;
  bool has_input_;
  bool stopped_here_ = false;
  std::string pending_;
};

}  // namespace

OpenStream open_stream(const Address& address, const std::string& path, std::string_view json,
                       Deadline deadline) {
  const auto call = fmt::format("POST {} on {}", path, address.socket);
  Conversation conversation(address, call, deadline);
  bool more = true;
  auto first = upgrade(conversation, call, path, json, more);
  return {std::move(conversation.wire()), std::move(first), more};
}

bool attach_to(const Address& address, const std::string& path, Deadline deadline, const AttachEnds& ends) {
  const auto call = fmt::format("POST {} on {}", path, address.socket);
  Conversation conversation(address, call, deadline);
  bool more = true;
  const auto first = upgrade(conversation, call, path, {}, more);
  if (ends.ready) ends.ready();
  if (!first.empty() && ends.sink) ends.sink(first);
  Carrier carrier(conversation, ends);
  while (more && carrier.turn()) {
  }
  return !carrier.stopped_here();
}

void converse(const Address& address, const std::string& path, std::string_view json, std::string_view input,
              Deadline deadline, const BodySink& sink) {
  const auto call = fmt::format("POST {} on {}", path, address.socket);
  Conversation conversation(address, call, deadline);
  // The command would wait for the end of its input for ever.
  if (!conversation.can_end_output())
    throw Error(Errc::no_path,
                fmt::format("{}: libcurl cannot signal the end of a command's input over TLS", call),
                "give the command a file instead of standard input, or use the engine's Unix socket");
  bool more = true;
  auto in = upgrade(conversation, call, path, json, more);
  auto out = input;
  if (out.empty()) conversation.end_output();
  for (;;) {
    if (!in.empty()) sink(in);
    in.clear();
    if (!more) return;
    more = conversation.turn(out, true, in);
  }
}

}  // namespace hostnet::engine
