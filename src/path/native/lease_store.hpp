// The journal and the kernel kept in step: every change of what is held goes through here.
//
// A change takes the journal's lock, first finishes what dead owners left, writes down what it is about to
// do, runs the steps of the transition, and writes down the result. It touches no file of a container: names
// are written and taken out when the lock is given back (path/native/names.hpp). Killed anywhere in between,
// the next change or look by anybody finds the lease without a living owner (or marked `releasing`) and leads
// the kernel back.
#pragma once

#include "core/deadline.hpp"
#include "hostnet/exposure.hpp"
#include "lease/journal.hpp"
#include "path/native/executor.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace hostnet::exposer {

/// Why a lease ended without its owner's doing.
enum class Cause {
  owner_gone,         ///< The process died, or the last duplicate of the descriptor was closed.
  interrupted,        ///< Somebody was killed while releasing it.
  expired,            ///< Its time was up.
  bridge_gone,        ///< The interface was removed.
  container_stopped,  ///< The one container that it was for, or it has left the bridge.
  revoked,            ///< Another process released it.
  not_kept,           ///< What others had undone could not be put back.
};

/// A lease that ended without its owner's doing.
struct Ended {
  std::string lease;
  Cause cause;
  std::string reason;  ///< "its owner is gone", "its time is up", "bridge br0 is gone"

  /// `failed` when it could not be kept, else `released`.
  [[nodiscard]] ExposureState state() const {
    return cause == Cause::bridge_gone || cause == Cause::not_kept ? ExposureState::failed
                                                                   : ExposureState::released;
  }
};

/// Bridges with a guard of ours and without a lease, such as a restore of rules that were saved during a
/// lease brings back.
struct Leftovers {
  std::vector<std::string> idle;    ///< Without route_localnet: the guard guards nothing.
  std::vector<std::string> needed;  ///< With route_localnet on, by whomever.

  [[nodiscard]] bool empty() const noexcept { return idle.empty() && needed.empty(); }
};

/// In the network namespace of the thread that made it. Not thread-safe; any number of stores, in one
/// process or in many, may work on the same namespace.
class LeaseStore {
 public:
  /// `firewall` is for leases that are added while nothing is held.
  explicit LeaseStore(const std::filesystem::path& runtime_dir, Firewall firewall = Firewall::automatic);

  /// The lock over one or more operations below.
  [[nodiscard]] state::Journal lock(Deadline deadline);

  /// What is held, without the lock, and with the names that the bridges had when it was written. @throws
  /// Error.
  state::Snapshot peek() { return file_.read(); }
  /// Whether others have changed what is held since the last call. @throws Error.
  bool has_news();

  /// What the journal says is held, with the bridges' present names. @throws Error.
  state::Snapshot load(const state::Journal& journal);
  /// The same without the lock and without making anything: for looking only. @throws Error.
  state::Snapshot look();

  /// Finishes the leases that nobody holds any more. Returns them; `left` becomes what is still held.
  /// `watched` gives the leases whose owners' end the caller hears of by itself, so that nobody need look for
  /// it, nor through all the leases, as long as there are no others.
  /// @throws Error: state_corrupt; failure with all that went wrong, when the leases stay in the journal to
  /// be tried
  ///         again.
  std::vector<Ended> reap(const state::Journal& journal, state::Snapshot& left, Deadline deadline,
                          const std::function<std::set<std::string>()>& watched = {});

  /// A lease that was watched is watched no more.
  void forget_watched() noexcept { all_watched_.reset(); }

  /// Adds leases whose bridges are `bridges` (prior settings included; those held already keep their record)
  /// and puts them into effect; write_names() is the caller's, without the lock. `held` is what reap() left
  /// and becomes what is held.
  /// @throws Error: conflict when a port leads elsewhere already; whatever failed. Nothing of them is left
  /// then.
  void add(const state::Journal& journal, state::Snapshot& held, std::vector<state::Lease> leases,
           std::span<const state::Bridge> bridges, Deadline deadline);

  /// Puts a lease into the place of the one with its id; connections that it does not let in any more are
  /// cut.
  /// @throws Error: not_found when that one is held no more; whatever failed, with the change half done.
  void amend(const state::Journal& journal, state::Snapshot& held, const state::Lease& lease,
             Deadline deadline);

  /// The firewall in which a lease that is added to these stands, or would stand, and why.
  /// @throws Error{conflict} when another one is asked for than theirs.
  [[nodiscard]] firewall::FirewallChoice firewall_for(const state::Snapshot& held) const;

  /// Takes leases away; the names that they have written become `held.names`, for finish_names() without the
  /// lock. Unknown ids are ignored. @throws Error naming every step that failed; those leases
  /// stay in the journal as `releasing`.
  void remove(const state::Journal& journal, state::Snapshot& held, const std::set<std::string>& leases,
              Deadline deadline);

  /// Whether remove() or reap() has left names since the last call.
  bool has_new_names() noexcept { return std::exchange(new_names_, false); }
  /// Makes these the names that are left. @throws Error.
  void settle(const state::Journal& journal, state::Snapshot& held, std::vector<state::NameLeft> left);

  /// Puts back whatever others have undone. What cannot be put back at once is waited for with
  /// route_localnet off. Returns whether anything was amiss. @throws Error.
  bool repair(const state::Snapshot& held, Deadline deadline);
  /// Switches route_localnet off on the bridges of `held`, but where it was on before: what closes them all,
  /// whatever becomes of the rules. @throws Error.
  void close(const state::Snapshot& held);

  /// For a journal that cannot be read: sets it aside and takes away everything that is ours in the kernel,
  /// by our chains' names. The prior sysctl values are lost, so the guarded bridges get the kernel's default,
  /// 0. Returns the bridges so treated. @throws Error.
  std::vector<std::string> rescue(const state::Journal& journal, Deadline deadline);

  /// Those that `held` has nothing of. Changes nothing, and needs no lock where nothing is held. @throws
  /// Error.
  Leftovers leftovers(const state::Snapshot& held);

  /// For when nothing is held: takes away what still stands of ours. A guard whose bridge has route_localnet
  /// on is not taken away, and nothing else is then: those bridges are returned. @throws Error.
  std::vector<std::string> sweep(const state::Journal& journal, Deadline deadline);

  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return file_.folder(); }
  Executor& executor() noexcept { return executor_; }

 private:
  void settle_binding(state::Lease& lease);
  void take_away(const state::Snapshot& found, Deadline deadline);

  Firewall firewall_;
  Executor executor_;
  state::JournalFile file_;
  bool new_names_ = false;
  std::uint64_t news_ = 0;                    // that has_news() told of
  std::optional<std::uint64_t> all_watched_;  // the news up to which all leases were found to be watched
  std::set<std::string> tried_;               // what the last reap() could not take away
};

/// That of leases that are held, as a choice.
firewall::FirewallChoice firewall_of_leases(Firewall kind);

/// A container port of one lease that leads to another host port by an older lease.
struct Clash {
  std::string older;
  firewall::Forward forward;  ///< The new one.
  std::uint16_t older_host;   ///< Where the older one leads.
};

/// The first clash between forwards that stand and forwards to add; equal forwards are shared, not clashing.
/// Pure.
std::optional<Clash> find_clash(const std::vector<firewall::Forward>& standing,
                                const std::vector<firewall::Forward>& added);

}  // namespace hostnet::exposer
