// Turns lines into events, and reads them from the connection.
//
// States of an EventStream:
//
//   state     event                                        next
//   --------  -------------------------------------------  --------------------------------------------------
//   sending   request sent (the constructor returns)       headers
//   sending   deadline passed                              timed_out
//   headers   blank line, status is_success()              body
//   headers   blank line, another status                   refused
//   headers   no HTTP status, end of stream, or more       engine_error
//             than kLargestHead
//   refused   end of stream                                check_status() throws the engine's refusal
//   body      a line                                       body; a container's event goes to the sink
//   body      a line above kLongestLine, or invalid JSON   engine_error
//   body      end of stream, or reset                      ended: read() returns false
//
// Timeouts: the constructor's deadline bounds connecting and sending. After that nothing waits here: the
// caller waits for fd() beside its own timers. Over TCP, keep-alive detects a dead machine (reach.cpp).
//
//   kLargestHead       64 KiB    headers (raw_http.hpp)
//   kLongestRefusal    64 KiB    of an error's body kept for the message
//   kLongestLine       1 MiB     one event
//   kReadsAtOnce       64        receive() calls of 16 KiB in one read()
#include "engine/events.hpp"

#include "core/strings.hpp"
#include "engine/cutoff.hpp"
#include "engine/json_reader.hpp"
#include "engine/parse.hpp"
#include "engine/transport_error.hpp"
#include "engine/url.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace hostnet::engine {
namespace {

// An event carries all labels of its container; compose files with long ones reach some tens of kilobytes.
constexpr std::size_t kLongestLine = 1U << 20;
constexpr std::size_t kLongestRefusal = 64U << 10;
// Limits one read(), so that a burst of events does not delay the caller's timers.
constexpr int kReadsAtOnce = 64;

void send_all(Wire& wire, std::string_view text, const std::string& call, Deadline deadline) {
  while (!text.empty()) {
    const auto sent = wire.send(text);
    if (sent > 0) {
      text.remove_prefix(static_cast<std::size_t>(sent));
      continue;
    }
    if (errno != EAGAIN && errno != EINTR)
      throw Error(Errc::engine_error, fmt::format("{}: {}", call, std::strerror(errno)));
    pollfd poll{wire.fd(), POLLOUT, 0};
    if (::poll(&poll, 1, before_cutoff(deadline).poll_timeout()) == 0)
      throw Error(Errc::timed_out, fmt::format("{}: the engine did not accept the request in time", call));
  }
}

// Docker's actor is the network; the container is among its attributes, and may be one of the engine's own
// ("ingress-sbox"). Podman's actor is the container.
std::optional<Event> of_network(Event event, const JsonReader& actor) {
  const auto attributes = actor.strings_or_empty("Attributes");
  event.container = actor.string_or_empty("ID");
  if (const auto container = attributes.find("container"); container != attributes.end())
    event.network = std::exchange(event.container, container->second);
  else if (const auto name = attributes.find("name"); name != attributes.end())
    event.name = name->second;
  if (!looks_like_id(event.container)) return std::nullopt;
  return event;
}

}  // namespace

bool Event::is_end() const {
  static constexpr std::array<std::string_view, 5> ends{"die", "died", "destroy", "remove", "cleanup"};
  return std::ranges::find(ends, action) != ends.end();
}

std::optional<Event> parse_event(std::string_view line) {
  const auto tree = parse_json(line);
  const JsonReader json(tree);
  const auto type = json.at("Type").string();
  if (type != "container" && type != "network") return std::nullopt;
  Event event;
  event.action = json.at("Action").string();
  if (const auto colon = event.action.find(':'); colon != std::string::npos) event.action.resize(colon);
  const auto actor = json.at("Actor");
  if (type == "network") return event.is_move() ? of_network(std::move(event), actor) : std::nullopt;
  event.container = id_of(actor.at("ID"));
  event.attributes = actor.strings_or_empty("Attributes");
  if (const auto name = event.attributes.find("name"); name != event.attributes.end())
    event.name = name->second;
  return event;
}

void EventReader::feed(std::string_view piece, const EventSink& sink) {
  while (!piece.empty()) {
    const auto end = std::min(piece.find('\n'), piece.size());
    if (line_.size() + end > kLongestLine)
      throw Error(Errc::engine_error, "the engine's events make no sense: one is larger than 1 MiB");
    line_ += piece.substr(0, end);
    if (end == piece.size()) return;
    piece.remove_prefix(end + 1);
    const auto line = std::exchange(line_, {});
    if (trim(line).empty()) continue;
    if (const auto event = parse_event(line)) sink(*event);
  }
}

EventStream::EventStream(const Address& address, std::string_view path_prefix, std::int64_t since,
                         Deadline deadline)
    : call_(fmt::format("GET {}/events on {}", path_prefix, address.socket)), wire_(address, deadline) {
  send_all(wire_, fmt::format("GET {}/events?since={} HTTP/1.0\r\nHost: engine\r\n\r\n", path_prefix, since),
           call_, deadline);
}

bool EventStream::read(const EventSink& sink) {
  std::array<char, 16384> buffer;
  for (int reads = 0; reads < kReadsAtOnce; ++reads) {
    const auto got = wire_.receive(buffer.data(), buffer.size());
    if (got > 0) {
      take({buffer.data(), static_cast<std::size_t>(got)}, sink);
      continue;
    }
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return true;
    if (got < 0 && errno != ECONNRESET)
      throw Error(Errc::engine_error, fmt::format("{}: {}", call_, std::strerror(errno)));
    if (refusal_ != 0) check_status({.call = call_, .status = refusal_, .body = head_});
    if (!head_is_over_) throw broken_off(call_);
    return false;
  }
  return true;
}

void EventStream::take(std::string_view piece, const EventSink& sink) {
  if (head_is_over_ && refusal_ == 0) {
    reader_.feed(piece, sink);
    return;
  }
  const auto seen = head_.size();
  head_ += piece;
  if (refusal_ != 0) {
    head_.resize(std::min(head_.size(), kLongestRefusal));
    return;
  }
  const auto end = end_of_head(head_, seen);
  if (end == std::string::npos) {
    if (head_.size() > kLargestHead)
      throw Error(Errc::engine_error, fmt::format("{}: the answer's headers grew too large", call_));
    return;
  }
  head_is_over_ = true;
  const auto status = status_of(head_);
  head_.erase(0, end + 4);
  if (!is_success(status)) {
    refusal_ = status;
    if (status == 0) throw Error(Errc::engine_error, fmt::format("{}: the answer is not HTTP", call_));
    return;
  }
  reader_.feed(std::exchange(head_, {}), sink);
}

}  // namespace hostnet::engine
