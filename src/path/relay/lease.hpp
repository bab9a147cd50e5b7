// What the leases of the relay path share: their sockets with the relay behind them, the record, and the
// keeper thread. Where the sockets are and where the name is written is the business of ContainerLease and
// GatewayLease.
//
//   state    event                                          next
//   setup    sockets served, names written                  active; the keeper starts
//   setup    any error                                      undone; the constructor throws
//   active   release()                                      released
//   active   another process revokes the record             released
//   active   the request's timeout passes                   released
//   active   the kind of lease calls end()                  released or failed
//   active   another socket takes a port meanwhile          active; a warning, and the record says so
//   active   statistics change                              active; the record is saved
//
//   timeout            value     for
//   kKeeperLook        1 s       the keeper's next check of these events, if watched() and the record's watch
//                                tell nothing
//   kUndoRelay         30 s      undoing a failed setup
//   release_deadline   30 s      taking an active lease down
//
// No call runs under a lock, but for the moments in which a queue is swapped.
#pragma once

#include "core/deadline.hpp"
#include "core/failures.hpp"
#include "core/fd.hpp"
#include "engine/address.hpp"
#include "hostnet/exposer.hpp"
#include "lease/exposure_impl.hpp"
#include "lease/lease_life.hpp"
#include "lease/notifier.hpp"
#include "lease/owner.hpp"
#include "lease/record_watch.hpp"
#include "lease/tunnel_record.hpp"
#include "path/relay/peers.hpp"
#include "path/relay/relay.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace hostnet::exposer {

/// Shared by the leases of one exposer.
struct RelaySettings {
  engine::Address engine;
  std::shared_ptr<state::TunnelStore> store;
  std::shared_ptr<state::Owner> owner;
  std::chrono::milliseconds release_deadline{30'000};
  std::shared_ptr<Notifier> notifier;
};

class RelayLease : public Exposure::Impl {
 public:
  ~RelayLease() override;

  void release() override;
  [[nodiscard]] ExposureState state() const override { return life_.state(); }
  [[nodiscard]] std::string reason() const override { return life_.reason(); }

 protected:
  /// One socket of the lease.
  struct Served {
    std::size_t port;  ///< Index in `ports`.
    Ipv4 address;
    std::shared_ptr<relay::Counters> counters;
    std::optional<relay::Forward> forward;  ///< Empty while there is no socket.
    bool warned = false;                    ///< That another socket has taken the port.
  };

  /// `address` is the name's, on `network`.
  RelayLease(RelaySettings settings, const ExposeRequest& request, std::vector<HostPort> ports, Ipv4 address,
             const std::string& network);
  /// Sets everything up, and returns when the ports are reachable. A failed setup leaves nothing behind. The
  /// last call of a constructor. @throws Error.
  void begin(Deadline deadline);
  /// Ends the keeper. The first call of a destructor.
  void stop_keeper() noexcept;

  /// Serves a socket for a port: a new one, or in place of one that has been closed.
  void serve(std::size_t port, Ipv4 address, Fd socket, const std::shared_ptr<relay::Peers>& peers = nullptr);
  /// Ends the lease in the keeper's thread, without a request of the owner.
  void end(ExposureState state, const std::string& reason);
  /// The keeper looks at once.
  void wake() noexcept;
  [[nodiscard]] bool is_active() const { return life_.is_active(); }
  void save() const { settings_.store->save(record_); }

  // All but check_rivals() are called in the keeper's thread once that runs.
  /// The record is saved: leases that are made at once see each other. @throws Error{conflict}.
  virtual void check_rivals() = 0;
  /// Makes the sockets and serves them. @throws Error.
  virtual void open(Deadline deadline) = 0;
  /// Closes what the sockets need, once they are closed.
  virtual void close_rest() noexcept {}
  /// Writes the name into the containers of record_.alias_in. @throws Error.
  virtual void write_names(Deadline deadline) = 0;
  virtual void remove_names(Deadline deadline, Failures& failures) = 0;
  /// Removes what a failed open() has left at the engine.
  virtual void remove_remains(Deadline) {}
  /// A descriptor that is readable when look() has something to see; -1: none.
  [[nodiscard]] virtual int watched() const noexcept = 0;
  /// Looks at what the lease depends on, and may end it. `readable`: watched() is.
  virtual void look(bool readable) = 0;
  /// The longest time to the next look().
  [[nodiscard]] virtual std::chrono::milliseconds period() const;
  /// Says that another socket has taken the port.
  [[nodiscard]] virtual std::string taken(const Served& one) const = 0;
  /// Why no socket is there at the moment; empty if they are.
  [[nodiscard]] virtual std::string blocked() const { return {}; }

  RelaySettings settings_;
  state::TunnelRecord record_;  // the keeper's while it runs
  std::vector<Served> served_;  // likewise

 private:
  void undo() noexcept;
  Failures take_down(Deadline deadline) noexcept;
  void keep();
  void check();
  [[nodiscard]] state::TunnelStats stats();

  LeaseLife life_;
  Fd wake_;                                    // readable: look now, or end if stopping_
  std::optional<state::RecordWatch> revoked_;  // the keeper's while it runs
  std::atomic<bool> stopping_ = false;
  std::jthread keeper_;  // joined by release(), else by the destructor
};

}  // namespace hostnet::exposer
