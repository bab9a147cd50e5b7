// Exposures that follow the labels of containers: an engine's containers get the ports that their labels ask
// for when they start, and lose them when they stop.
//
// The stream of events only says where to look. What is done is decided by what the engine says of the
// container now and by what is held for it (watch_plan.hpp), so that an event that comes late, twice or out
// of order does no harm, and one that was lost is made up for by the list of labelled containers, which is
// compared at the start, after the engine was away, and now and then.
//
// The loop's thread hears of everything and waits for nothing. What may wait (the engine, a pull, a lock of
// the kernel's) is a job of the workers: one at a time for each container, which has the container's entry
// for itself meanwhile, and which comes back as a letter. What is heard of a container that is busy is looked
// at when its job is back.
#pragma once

#include "core/event_loop.hpp"
#include "core/mailbox.hpp"
#include "engine/client.hpp"
#include "engine/events.hpp"
#include "watch/applier.hpp"
#include "watch/workers.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace hostnet::exposer {

/// Works in the network namespace of its loop's thread. Not thread-safe. The loop must not run any more when
/// it is gone.
class Watcher {
 public:
  using Settings = WatchSettings;

  struct End {
    std::size_t failures = 0;  ///< Releases that failed; each has been told.
    bool stuck = false;        ///< A job did not end in time: the destructor would wait for it.
  };

  /// The loop must outlive it. @throws Error as engine::Address::find().
  Watcher(EventLoop& loop, Settings settings);
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  /// Releases what finish() has not.
  ~Watcher();

  /// Takes on what runs, and goes on in the loop. An engine that does not answer is waited for. The loop
  /// throws Error: not_authorised and invalid_argument, which no waiting mends.
  void start();
  /// Releases everything, as far as that can be done in time: requests to the engine are cut off after three
  /// seconds in which nothing got done, and no job is waited for after five. To be called once, outside the
  /// loop.
  End finish();

  /// Looks, and changes nothing: everything that start() would take on. @throws Error as engine::Client.
  std::vector<Wanted> survey();

 private:
  struct Container {
    Applier::Entry entry;  // A job's while there is one.
    bool busy = false;
    bool again = false;                 // Something was heard of it meanwhile.
    WatchClock::time_point timer = {};  // The last one that was set for it.
  };
  struct Reached;

  void run(std::function<void()> work, std::function<void(const std::optional<Error>&)> done);
  void connect();
  void reached(Reached& engine);
  void lost(const Error& error);
  void on_events();
  void list();
  void take_on_all(std::set<std::string> ids);
  void look_at(const std::string& id);
  void settle(const std::string& id, std::function<void(Applier::Entry&)> work);
  void settled(const std::string& id);
  void got_on();
  void release_at_end(const std::string& id);
  void taken_on(const std::string& id);
  void on_ended_leases();

  EventLoop& loop_;
  Settings settings_;
  engine::Address address_;
  // Leases that have ended by themselves, told by the library's threads and taken out by the loop's. Those of
  // an exposer may outlive the watcher for a moment, so it is shared with their callback.
  std::shared_ptr<Mailbox<EndedLease>> ended_;
  Applier applier_;
  std::map<std::string, Container> containers_;  // By id.
  std::vector<EndedLease> ended_early_;          // Before the jobs were back that held them.

  std::optional<engine::EventStream> stream_;  // None while the engine is away.
  unsigned connection_ = 0;                    // Its number: what comes of an earlier one means nothing.
  bool away_ = false;                          // It has been told that the engine is lost.
  unsigned losses_ = 0;                        // In a row, each soon after the one before.
  WatchClock::time_point reached_ = {};
  std::set<std::string> taking_on_;  // Of those that ran when the engine was reached.
  bool announced_ = false;           // That it watches.

  bool ending_ = false;
  End end_;
  std::size_t jobs_ = 0;  // Under way.
  Deadline patience_ = Deadline::never();
  Workers workers_;  // First to go: their jobs use all the rest.
};

}  // namespace hostnet::exposer
