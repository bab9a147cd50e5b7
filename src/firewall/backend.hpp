// The two firewall back ends behind one interface, and the choice between them.
//
// All leases of a network namespace stand in one back end, which the journal names: two processes that put
// forwards of one bridge into different firewalls would each see half of them.
#pragma once

#include "core/deadline.hpp"
#include "firewall/bindings.hpp"
#include "firewall/ruleset.hpp"
#include "firewall/traffic.hpp"
#include "hostnet/firewall.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::firewall {

class Nftables;

/// Works in the network namespace of the thread that first uses it. Not thread-safe.
class Backend {
 public:
  virtual ~Backend() = default;

  /// nftables or iptables.
  [[nodiscard]] virtual Firewall kind() const noexcept = 0;
  /// Makes one part of the firewall exactly as planned, whatever it held before, and changes nothing else.
  /// Returns whether it changed anything. @throws Error: not_authorised, timed_out, no_path, failure.
  virtual bool apply(const TablePlan& plan, Deadline deadline) = 0;
  /// Whether that part is exactly as planned. Changes nothing. @throws Error.
  virtual bool matches(const TablePlan& plan) = 0;
  /// Whether nothing has changed since this object's last change, as far as it can tell at almost no cost.
  [[nodiscard]] virtual bool is_as_left() { return false; }
  /// Turns the forwards of `from`, which must stand, into those of `to`. The cost depends on these forwards
  /// only. Use when is_as_left(). Returns whether it changed anything. @throws Error; apply() finds out what
  /// stands then.
  virtual bool change_forwards(const TablePlan& from, const TablePlan& to) = 0;

  /// Why bindings are impossible here; empty when they are possible. Changes nothing.
  /// @throws Error{not_authorised}.
  std::string binding_fault();
  /// Makes the bindings as planned when libnftables is installed and the kernel has nf_tables for bridges;
  /// otherwise warns once. Returns whether it changed anything. @throws Error: not_authorised, timed_out.
  bool binding(const BindingPlan& plan, Deadline deadline);
  /// Whether the bindings are as planned, or impossible here. Changes nothing. @throws Error.
  bool is_pinned(const BindingPlan& plan);

 protected:
  /// The nftables back end that holds the bindings.
  virtual Nftables& nftables() = 0;

 private:
  bool unable_ = false;
  bool able_ = false;  // bindings were found possible
};

/// `kind` must not be `automatic`. Touches no firewall yet. @throws nothing.
std::unique_ptr<Backend> make_backend(Firewall kind);

/// Parses "nftables", "iptables" and "auto"; nullopt for anything else.
std::optional<Firewall> parse_firewall(std::string_view text) noexcept;

/// The facts that the choice depends on.
struct FirewallFacts {
  bool nf_tables = false;    ///< The kernel has nf_tables, or privilege is missing to find out.
  bool libnftables = false;  ///< libnftables can be loaded.
  bool legacy_nat = false;   ///< Legacy ip_tables have a table nat in this network namespace.
};

/// A choice, never `automatic`, and its reason.
struct FirewallChoice {
  Firewall kind = Firewall::iptables;
  std::string reason;
};

/// The meaning of `automatic` while no lease is held. Pure.
FirewallChoice choose(const FirewallFacts& facts);

/// `wanted`; for `automatic` the value of $TC_HOSTNET_FIREWALL, or else choose() for the calling thread's
/// network namespace. @throws Error{invalid_argument} for an unknown value of the variable.
FirewallChoice choose(Firewall wanted);

/// The firewall that `wanted` or the environment asks for; `automatic` when neither does. @throws as
/// choose().
Firewall wish(Firewall wanted);

/// The firewalls that may hold rules of ours in the calling thread's network namespace.
std::vector<Firewall> in_use();

/// The bridges with our guard before routing, in either firewall, of any process. @throws Error.
std::vector<std::string> guarded_bridges();

/// All forwards in both firewalls. Takes no lock, changes nothing. @throws Error.
std::vector<ForwardTraffic> read_traffic();

/// One part of a plan as input for that firewall's own tool: iptables-restore or nft.
std::string to_text(Firewall kind, const TablePlan& plan);

}  // namespace hostnet::firewall
