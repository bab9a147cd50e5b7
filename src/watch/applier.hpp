// Carries out the decisions of watch/plan.hpp for one container. The acts wait for the engine, for pulls and
// for the kernel's locks, so they run in a worker's thread.
#pragma once

#include "engine/client.hpp"
#include "hostnet/exposer.hpp"
#include "watch/plan.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::exposer {

/// An event of a watcher. Fields that do not apply to the kind are empty.
struct WatchEvent {
  enum class Kind { watching, exposed, released, refused, failed, engine_lost, engine_back, unknown_label };

  Kind kind = Kind::watching;
  std::string id;    ///< Of the container, short form.
  std::string name;  ///< Of the container.
  std::string lease;
  std::string via;  ///< The name of the path.
  std::string gateway;
  std::string interface;
  std::vector<HostPort> ports;
  std::string engine;  ///< Engine's socket, for watching, engine_lost and engine_back.
  std::string reason;  ///< One line, for released, refused, failed, engine_lost and unknown_label.
  std::string hint;    ///< Next step for the user, for refused, failed, engine_lost and unknown_label.
};

/// "watching", "exposed", "released", "refused", "failed", "engine-lost", "engine-back", "unknown-label".
const char* to_string(WatchEvent::Kind kind) noexcept;

struct WatchSettings {
  /// Ignores `on_state`, `path`, `paths` and `interactive`: never asks for a password.
  ExposerOptions exposer;
  PathOrder order = {};       ///< For containers whose labels name none; empty: automatic.
  bool trust_images = false;  ///< Also follow labels that the image has.
  Allowance allowance;        ///< What labels may ask for; other requests are refused.
  /// Called in the loop's thread. Must not throw.
  std::function<void(const WatchEvent&)> on_event;
  std::chrono::milliseconds list_period{60'000};
};

/// A lease that ended without a release by the watcher.
struct EndedLease {
  std::string lease;
  ExposureState state = ExposureState::released;
  std::string reason;
};

/// Thread-safe, as long as no two threads use the same entry at the same time.
class Applier {
 public:
  /// State of one container.
  struct Entry {
    std::string name;
    std::optional<Dealt> dealt;  ///< nullopt: nothing to remember.
    Exposure exposure;
    unsigned failures = 0;   ///< In a row.
    std::string last_fault;  ///< The last reported failure.
  };

  /// `on_ended` receives leases that end by themselves: from the library's threads, and from deal() for a
  /// lease that ended before its entry was held. `settings.on_event` runs in the thread that calls a member.
  Applier(WatchSettings settings, engine::Address engine, std::function<void(EndedLease)> on_ended);

  /// Asks the engine what the container requests now, and carries out the next step. @throws Error as
  /// engine::Client.
  void deal(const std::string& id, Entry& entry);
  /// Records and reports that the entry's lease has ended.
  void ended(const std::string& id, Entry& entry, const EndedLease& lease);
  /// Releases the entry's lease and reports it. Returns false if the release failed.
  bool release(const std::string& id, Entry& entry, const std::string& reason);
  /// What the container requests now; nullopt also if it is gone. @throws Error as engine::Client.
  std::optional<Wanted> ask_for(engine::Client& client, const std::string& id) const;

  /// From now on, exposes nothing and does not report failures of an expose that is under way. Thread-safe.
  void end() noexcept { ending_ = true; }

 private:
  void deal(engine::Client& client, const std::string& id, Entry& entry, const std::optional<Wanted>& wanted);
  void expose(engine::Client& client, const Wanted& wanted, Entry& entry);
  void failed(const Wanted& wanted, Entry& entry, const Error& error) const;
  Exposer& exposer_for(const PathOrder& order);

  const WatchSettings settings_;
  const engine::Address address_;
  const std::function<void(EndedLease)> on_ended_;
  std::atomic<bool> ending_ = false;
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Exposer>> exposers_;  // by order_text()
};

/// Limit of one engine call: 10 s from now.
Deadline watch_deadline();

}  // namespace hostnet::exposer
