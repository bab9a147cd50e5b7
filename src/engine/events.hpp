// What happens to an engine's containers, as it happens: GET /events, whose answer is one JSON object a line
// and never ends.
//
// Over a Wire rather than as a request of libcurl: who follows events waits for other things as well
// (signals, timers, leases that end), and a descriptor can stand beside those in one loop. The request is
// made in HTTP/1.0, to which both engines answer with a body that is simply what comes until the connection
// is closed, without chunks.
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

/// Something happened to a container.
struct Event {
  std::string action;  ///< "start", "die", …; without what follows a colon: "exec_create", "health_status".
  std::string container;  ///< Id.
  std::string name;       ///< Without a slash; empty where the engine does not say.
  /// The container's labels, and what the engine adds to them ("name", "image", "exitCode", …).
  std::map<std::string, std::string> attributes;

  /// There may be a process now where there was none, or another one than before.
  [[nodiscard]] bool is_start() const { return action == "start" || action == "unpause"; }
  /// There is none any more. Podman says "died", "remove" and "cleanup" where Docker says "die" and
  /// "destroy".
  [[nodiscard]] bool is_end() const;
};

/// One line of the answer; nullopt for what happened to something else than a container.
/// @throws Error{engine_error} for what is no such line.
std::optional<Event> parse_event(std::string_view line);

using EventSink = std::function<void(const Event&)>;

/// Takes the answer's body in pieces that are cut anywhere. A plain value.
class EventReader {
 public:
  /// @throws Error{engine_error} for what makes no sense; also what the sink throws.
  void feed(std::string_view piece, const EventSink& sink);

 private:
  std::string line_;  // What has come of one that has not ended.
};

/// The stream of one engine. Not thread-safe.
class EventStream {
 public:
  /// Asks for everything that happens to containers from `since` on (seconds since the epoch, by the engine's
  /// clock), and waits for nothing but the request to be sent. For Client::events().
  /// @throws Error as Client's calls do.
  EventStream(const Address& address, std::string_view path_prefix, std::int64_t since, Deadline deadline);

  /// To be waited for: readable when read() has something to do.
  [[nodiscard]] int fd() const noexcept { return wire_.fd(); }
  /// Hands over what has come, without waiting. Returns false when the engine has ended the stream.
  /// @throws Error: engine_error for what makes no sense or with the engine's refusal, and as check_status().
  bool read(const EventSink& sink);

 private:
  void take(std::string_view piece, const EventSink& sink);

  std::string call_;
  Wire wire_;
  std::string head_;  // The answer's, as far as it has come.
  bool head_is_over_ = false;
  long refusal_ = 0;  // A status that is no success; the body says why.
  EventReader reader_;
};

}  // namespace hostnet::engine
