// What is done about one container that a watcher follows: the acts to the judgement of watch_plan.hpp. They
// wait for the engine, for images, for the kernel's locks, and so run in a worker's thread.
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

/// What a watcher tells of. Fields that do not belong to the kind are empty.
struct WatchEvent {
  enum class Kind { watching, exposed, released, refused, failed, engine_lost, engine_back };

  Kind kind = Kind::watching;
  std::string id;    ///< Of the container.
  std::string name;  ///< Likewise.
  std::string lease;
  std::string via;  ///< The name of the path.
  std::string gateway;
  std::string interface;
  std::vector<HostPort> ports;
  std::string engine;  ///< Its socket, for watching, engine_lost and engine_back.
  std::string reason;  ///< For released, refused, failed and engine_lost, one line.
  std::string hint;    ///< The next step for a person, for refused, failed and engine_lost.
};

/// "watching", "exposed", "released", "refused", "failed", "engine-lost", "engine-back".
const char* to_string(WatchEvent::Kind kind) noexcept;

struct WatchSettings {
  /// Its `on_state` is not called and its `path` does not count; nobody is asked for a password, whatever
  /// `interactive` says.
  ExposerOptions exposer;
  const PathDriver* path = nullptr;  ///< For containers that name none; nullptr: automatic.
  bool trust_images = false;         ///< Follow labels that the image has, too.
  Allowance allowance;               ///< What labels may ask for; the rest is told as refused.
  /// Called in the loop's thread. Must not throw.
  std::function<void(const WatchEvent&)> on_event;
  std::chrono::milliseconds list_period{60'000};
};

/// A lease that has ended by itself.
struct EndedLease {
  std::string lease;
  ExposureState state = ExposureState::released;
  std::string reason;
};

/// Thread-safe, as long as no two threads have the same entry at a time.
class Applier {
 public:
  /// How it stands with one container.
  struct Entry {
    std::string name;
    std::optional<Dealt> dealt;  ///< None: there is nothing to be remembered.
    Exposure exposure;
    unsigned failures = 0;   ///< In a row.
    std::string last_fault;  ///< What was told of the last of them.
  };

  /// `on_ended` is told of leases that end by themselves: by the library's threads, and by deal() of one that
  /// ended before it was held. The callback of the settings is called by whoever calls.
  Applier(WatchSettings settings, engine::Address engine, std::function<void(EndedLease)> on_ended);

  /// Asks the engine what the container wants now, and does it. @throws Error as engine::Client.
  void deal(const std::string& id, Entry& entry);
  /// Tells the end of the entry's lease.
  void ended(const std::string& id, Entry& entry, const EndedLease& lease);
  /// Returns whether nothing of its lease is left.
  bool release(const std::string& id, Entry& entry, const std::string& reason);
  /// nullopt also for one that is gone. @throws Error as engine::Client.
  std::optional<Wanted> ask_for(engine::Client& client, const std::string& id) const;

  /// From now on nothing is exposed, and what fails for that is not told.
  void end() noexcept { ending_ = true; }

 private:
  void deal(engine::Client& client, const std::string& id, Entry& entry, const std::optional<Wanted>& wanted);
  void expose(engine::Client& client, const Wanted& wanted, Entry& entry);
  void failed(const Wanted& wanted, Entry& entry, const Error& error) const;
  Exposer& exposer_for(const PathDriver* path);

  const WatchSettings settings_;
  const engine::Address address_;
  const std::function<void(EndedLease)> on_ended_;
  std::atomic<bool> ending_ = false;
  std::mutex mutex_;
  std::map<const PathDriver*, std::unique_ptr<Exposer>> exposers_;
};

/// For one call of an engine.
Deadline watch_deadline();

}  // namespace hostnet::exposer
