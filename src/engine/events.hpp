// Live events of containers: GET /events, an endless answer with one JSON object per line. States and limits:
// events.cpp.
//
// Uses a Wire instead of a libcurl request: a program that follows events also waits for signals, timers and
// the end of leases, and can poll the Wire's descriptor in the same loop. The request is HTTP/1.0, which both
// engines answer with a plain body that ends with the connection, without chunks.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"
#include "engine/raw_http.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace hostnet::engine {

/// An event of a container, or of a network that a container joins or leaves.
struct Event {
  std::string action;     ///< "start", "die", …; up to the first colon: "exec_create", "health_status".
  std::string container;  ///< Id.
  std::string name;       ///< Without a slash; empty if the engine does not report it.
  std::string network;    ///< Id, for the network's events; empty: Podman does not report it.
  /// The container's labels and the engine's additions ("name", "image", "exitCode", …).
  std::map<std::string, std::string> attributes;

  /// The container may have a process now that it did not have before.
  [[nodiscard]] bool is_start() const { return action == "start" || action == "unpause"; }
  /// The container may be on a network on which it was not, or the reverse.
  [[nodiscard]] bool is_move() const { return action == "connect" || action == "disconnect"; }
  /// The container has no process any more. Podman reports "died", "remove" and "cleanup" for Docker's "die"
  /// and "destroy".
  [[nodiscard]] bool is_end() const;
};

/// Parses one line of the answer; nullopt for an event of which no container is a part.
/// @throws Error{engine_error} for an invalid line.
std::optional<Event> parse_event(std::string_view line);

using EventSink = std::function<void(const Event&)>;

/// Takes the answer's body in pieces of any size. A plain value.
class EventReader {
 public:
  /// @throws Error{engine_error} for an invalid line; also what the sink throws.
  void feed(std::string_view piece, const EventSink& sink);

 private:
  std::string line_;  // The beginning of an incomplete line.
};

/// The stream of one engine. Not thread-safe.
class EventStream {
 public:
  /// Requests all events from `since` on (seconds since the epoch, by the engine's clock). Waits
  /// only until the request is sent, not for the answer. For Client::events().
  /// @throws Error as Client's calls do.
  EventStream(const Address& address, std::string_view path_prefix, std::int64_t since, Deadline deadline);

  /// For poll(2): readable when read() has something to do.
  [[nodiscard]] int fd() const noexcept { return wire_.fd(); }
  /// Passes the events received so far to the sink, without waiting. Returns false when the engine has ended
  /// the stream.
  /// @throws Error: engine_error for an invalid answer, and as check_status() when the engine refuses.
  bool read(const EventSink& sink);

 private:
  void take(std::string_view piece, const EventSink& sink);

  std::string call_;
  Wire wire_;
  std::string head_;  // The headers received so far; after a refusal, its body.
  bool head_is_over_ = false;
  long refusal_ = 0;  // The status of a refusal; 0: none.
  EventReader reader_;
};

}  // namespace hostnet::engine
