// Exposes ports by container labels: a container gets the ports that its labels ask for when it starts, and
// loses them when it stops.
//
// An event only says which container to look at. The decision uses the container's current state in the
// engine and the state of its entry (watch/plan.hpp), so a late, duplicate or reordered event does no harm.
// The list of labelled containers makes up for lost events: the watcher compares it at the start, after each
// reconnect, and once per list_period.
//
// The loop's thread receives every event and never waits. Work that may wait (the engine, a pull, a kernel
// lock) is a job of the workers. A container has at most one job at a time, which owns the container's entry
// and reports back with a letter. The watcher looks again at a container that had an event during its job.
// watcher.cpp has the table of states, events and limits.
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

/// Works in the network namespace of its loop's thread. Not thread-safe. Do not run the loop after its
/// destruction.
class Watcher {
 public:
  using Settings = WatchSettings;

  struct End {
    std::size_t failures = 0;  ///< Releases that failed; each was reported.
    bool stuck = false;        ///< A job missed the limit; the destructor would wait for it.
  };

  /// The loop must outlive it. @throws Error as engine::Address::find().
  Watcher(EventLoop& loop, Settings settings);
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  /// Releases what finish() did not release. Waits for running jobs without a time limit.
  ~Watcher();

  /// Exposes to containers that already run, and continues in the loop. Waits for an engine that does not
  /// answer. The loop throws Error{not_authorised} or Error{invalid_argument} if the first connect gives it:
  /// a retry would not help.
  void start();
  /// Releases everything within limits: cuts off engine requests 3 s after the last progress, and returns 5 s
  /// after it even if jobs still run. Call once, outside the loop.
  End finish();

  /// All containers that start() would handle now. Changes nothing. @throws Error as engine::Client.
  std::vector<Wanted> survey();

 private:
  struct Container {
    Applier::Entry entry;  // Owned by the job while `busy`.
    bool busy = false;
    bool again = false;                 // An event came while it was busy.
    WatchClock::time_point timer = {};  // When its latest retry timer is due.
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
  std::string called(const std::string& id) const;
  void settle(const std::string& id, std::function<void(Applier::Entry&)> work);
  void settled(const std::string& id);
  void got_on();
  void release_at_end(const std::string& id);
  void taken_on(const std::string& id);
  void on_ended_leases();
  void tell_near_label(const std::string& id, const std::string& name,
                       const std::map<std::string, std::string>& labels);

  EventLoop& loop_;
  Settings settings_;
  engine::Address address_;
  // Leases that have ended by themselves, told by the library's threads and taken out by the loop's. Those of
  // an exposer may outlive the watcher for a moment, so it is shared with their callback.
  std::shared_ptr<Mailbox<EndedLease>> ended_;
  Applier applier_;
  std::map<std::string, Container> containers_;  // By id.
  std::vector<EndedLease> ended_early_;          // Ended while their container may be busy.

  std::optional<engine::EventStream> stream_;  // None while the engine is away.
  unsigned connection_ = 0;                    // Its number: results of earlier ones are ignored.
  bool away_ = false;                          // `engine-lost` was reported.
  unsigned losses_ = 0;                        // In a row, each within kSteady of the connect.
  WatchClock::time_point reached_ = {};
  std::set<std::string> taking_on_;  // Ran at the latest connect; not handled yet.
  bool announced_ = false;           // `watching` was emitted.

  std::set<std::string> told_labels_;  // Ids of containers whose near-miss label was reported.

  bool ending_ = false;
  End end_;
  std::size_t jobs_ = 0;  // Posted, result not back yet.
  Deadline patience_ = Deadline::never();
  Workers workers_;  // Last member, so destroyed first: its jobs use all the others.
};

}  // namespace hostnet::exposer
