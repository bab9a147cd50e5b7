// A lease that follows its target: a container by its name, or a network.
//
//   state    event                                                 next
//   held     a container starts on the network, or joins it        held; it gets the alias
//   held     a container leaves the network                        held; it loses the alias
//   held     the engine tells that the container ended             held; the lease looks at once
//   held     the container stops, restarts, leaves its network;    away
//            the network's bridge goes; the engine ends
//   held     another end: released, its time is up, its tunnel     over
//            fails, it cannot be kept
//   away     the target runs again, the lease is made              held, by the same path, with the same id
//   away     it runs, and the lease fails for kStubborn            over, failed
//   away     another process releases it; its time is up           over
//   any      another process removes the mark (below)              over with the lease's end, released
//   any      the stop descriptor is readable                       over, released
//
//   limit            value          of
//   kSoon            250 ms         between two looks at a target that went away in the last 10 s
//   kLater           1 s            the same after that; between two connects to the engine's events
//   kStubborn        10 s           errors that a target on its way back does not explain
//   kLook            5 s            one call of the engine
//
// A lease that may be followed has a mark from before its first moment: a record with the state "following"
// (path/clear_away.hpp, end_followers()). Between the end of the lease and the record that it waits, a release finds
// neither; it has removed the mark.
//
// While it is away, a lease has no rules and no sidecar. A record (lease/tunnel_record.hpp) with the state
// "waiting" keeps it in `list`, and `release` ends it by removing that. The helper numbers its leases itself, so
// there the id changes.
#pragma once

#include "core/fd.hpp"
#include "engine/client.hpp"
#include "engine/events.hpp"
#include "hostnet/exposer.hpp"
#include "lease/joined_names.hpp"
#include "lease/owner.hpp"
#include "lease/tunnel_record.hpp"
#include "path/paths.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace hostnet::exposer {

/// Whether a lease that ended by itself for this reason may come back with its target. `failed` ends need a
/// look at the target, too. Pure.
bool may_follow(ExposureState state, const std::string& reason);

/// Whether an end with this reason was asked for: released, revoked, or its time is up. Pure.
bool was_asked_for(const std::string& reason);

/// The record of a lease that waits for its target, from the lease as it was. Pure.
state::TunnelRecord waiting_record(const ExposeRequest& request, const Exposure& lease, std::string reason,
                                   state::TunnelRecord before);

/// One thread uses it: the one that made it.
class Follower {
 public:
  struct Settings {
    ExposerOptions exposer = {};
    PathOrder order = {};  ///< Empty: automatic. For the first lease; later ones go by its path.
    ExposeRequest request;
    bool once = false;  ///< Ends with this run of the target.
    /// The target went away; the lease waits for it.
    std::function<void(const std::string& lease, const std::string& reason)> on_away = {};
    /// The lease stands again.
    std::function<void(const Exposure&)> on_back = {};
  };
  struct End {
    ExposureState state = ExposureState::released;
    std::string lease;
    std::string reason;
    bool asked_for = true;  ///< By a signal, a release, or the request's timeout.
  };

  /// Makes the lease. @throws Error as Exposer::expose().
  explicit Follower(Settings settings);
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;
  ~Follower();

  [[nodiscard]] const Exposure& exposure() const noexcept { return exposure_; }
  /// Returns when the lease is over, without a time limit, and has released it. @throws Error if that fails.
  End run(int stop_fd);

 private:
  void make(const PathOrder& order, const ExposeRequest& request);
  [[nodiscard]] engine::Client engine() const;
  bool follows() const;
  void become_owner();
  void set_mark();
  void rename_mark();
  void remove_marks() noexcept;
  bool is_revoked() const;
  bool target_is_another() const;
  std::optional<End> after_end();
  std::optional<End> away_step();
  std::optional<End> over_while_away() const;
  End revoked();
  void save_waiting(std::string reason);
  void connect();
  void read_events();
  bool is_of_target(const engine::Event& event) const;
  void look_at(const std::string& container, JoinedNames& names);
  [[nodiscard]] bool wants_events() const;
  [[nodiscard]] std::chrono::milliseconds patience() const;

  Settings settings_;
  std::shared_ptr<Fd> ended_;  // readable when the lease may have ended; the callback shares it
  state::TunnelStore store_;
  std::unique_ptr<Exposer> exposer_;
  Exposure exposure_;
  std::string id_;
  std::string network_id_;  // of a network target, when the lease was made
  std::optional<std::chrono::system_clock::time_point> expires_;

  std::optional<state::Owner> owner_;  // of the mark and of the record while away
  state::TunnelRecord mark_;           // its id is empty without one
  bool away_ = false;
  std::chrono::steady_clock::time_point away_since_ = {};
  std::optional<std::chrono::steady_clock::time_point> stubborn_since_;
  state::TunnelRecord waiting_;

  std::optional<engine::EventStream> stream_;
  std::int64_t seen_until_ = 0;
  std::chrono::steady_clock::time_point next_connect_ = {};
};

}  // namespace hostnet::exposer
