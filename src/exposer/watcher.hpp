// Exposures that follow the labels of containers: an engine's containers get the ports that their labels ask
// for when they start, and lose them when they stop.
//
// The stream of events only says where to look. What is done is decided by what the engine says of the
// container now and by what is held for it (watch_plan.hpp), so that an event that comes late, twice or out
// of order does no harm, and one that was lost is made up for by the list of labelled containers, which is
// compared at the start, after the engine was away, and now and then.
#pragma once

#include "core/event_loop.hpp"
#include "engine/client.hpp"
#include "engine/events.hpp"
#include "exposer/watch_plan.hpp"
#include "hostnet/exposer.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace hostnet::exposer {

/// What a watcher tells of. Fields that do not belong to the kind are empty.
struct WatchEvent {
  enum class Kind { watching, exposed, released, refused, failed, engine_lost, engine_back };

  Kind kind = Kind::watching;
  std::string id;    ///< Of the container.
  std::string name;  ///< Likewise.
  std::string lease;
  Path via = Path::automatic;
  std::string gateway;
  std::string interface;
  std::vector<HostPort> ports;
  std::string engine;  ///< Its socket, for watching, engine_lost and engine_back.
  std::string reason;  ///< For released, refused, failed and engine_lost, one line.
  std::string hint;    ///< The next step for a person, for refused, failed and engine_lost.
};

/// "watching", "exposed", "released", "refused", "failed", "engine-lost", "engine-back".
const char* to_string(WatchEvent::Kind kind) noexcept;

/// Works in the thread of its loop, and in the network namespace of that. Not thread-safe. The loop must not
/// run any more when it is gone.
class Watcher {
 public:
  struct Settings {
    /// With the path for containers that name none. Its `on_state` is not called; nobody is asked for a
    /// password, whatever `interactive` says.
    ExposerOptions exposer;
    bool trust_images = false;  ///< Follow labels that the image has, too.
    Allowance allowance;        ///< What labels may ask for; the rest is told as refused.
    /// Called in the loop's thread. Must not throw.
    std::function<void(const WatchEvent&)> on_event;
    std::chrono::milliseconds list_period{60'000};
  };

  /// The loop must outlive it. @throws Error as engine::Address::find().
  Watcher(EventLoop& loop, Settings settings);
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  /// Releases what finish() has not.
  ~Watcher();

  /// Takes on what runs, and goes on in the loop. An engine that does not answer is waited for.
  /// @throws Error: not_authorised and invalid_argument, which no waiting mends.
  void start();
  /// Releases everything. Returns how many releases failed; each has been told.
  std::size_t finish();

  /// Looks, and changes nothing: everything that start() would take on. @throws Error as engine::Client.
  std::vector<Wanted> survey();

 private:
  struct Entry {
    std::string name;
    Dealt dealt;
    Exposure exposure;
    unsigned failures = 0;   // In a row.
    std::string last_fault;  // What was told of the last of them.
  };
  class EndedLeases;

  void connect();
  void lost(const Error& error);
  void on_events();
  std::set<std::string> labelled();
  void take_on_all(std::set<std::string> ids);
  void look_at(const std::string& id);
  std::optional<Wanted> ask_for(const std::string& id);
  void deal(const std::string& id, const std::optional<Wanted>& wanted);
  void expose(const Wanted& wanted);
  void failed(const Wanted& wanted, const Error& error);
  void try_again(const std::string& id, Entry& entry);
  bool release(const std::string& id, Entry& entry, const std::string& reason);
  void on_ended_leases();
  Exposer& exposer_for(Path path);
  WatchEvent event_of(WatchEvent::Kind kind, const std::string& id, const Entry& entry) const;

  EventLoop& loop_;
  Settings settings_;
  engine::Address address_;
  std::shared_ptr<EndedLeases> ended_;
  std::map<Path, std::unique_ptr<Exposer>> exposers_;
  std::map<std::string, Entry> entries_;  // By container id.

  std::optional<engine::Client> client_;  // None while the engine is away.
  std::optional<engine::EventStream> stream_;
  bool away_ = false;    // It has been told that the engine is lost.
  unsigned losses_ = 0;  // In a row, each soon after the one before.
  WatchClock::time_point reached_ = {};
  bool told_watching_ = false;
};

}  // namespace hostnet::exposer
