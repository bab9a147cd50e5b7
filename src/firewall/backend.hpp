// The two appliers of a plan behind one face, and the choice between them.
//
// A network namespace's leases all stand in one of them, which the journal names: two processes that put
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

/// In the network namespace of the thread that first uses it. Not thread-safe.
class Backend {
 public:
  virtual ~Backend() = default;

  /// nftables or iptables.
  [[nodiscard]] virtual Firewall kind() const noexcept = 0;
  /// Makes one part of the firewall exactly as planned, whatever was there before, and changes nothing else.
  /// Returns whether anything had to change. @throws Error: not_authorised, timed_out, no_path, failure.
  virtual bool apply(const TablePlan& plan, Deadline deadline) = 0;
  /// Whether that part is exactly as planned. Changes nothing. @throws Error.
  virtual bool matches(const TablePlan& plan) = 0;
  /// Whether it is known, at hardly any cost, that nobody has changed anything since this object has.
  [[nodiscard]] virtual bool is_as_left() { return false; }
  /// Makes the forwards of `from`, which stand, into those of `to`, at the cost of these and not of all. For
  /// when is_as_left(). Returns whether anything had to change. @throws Error; apply() can tell what stands
  /// then.
  virtual bool change_forwards(const TablePlan& from, const TablePlan& to) = 0;

  /// Why no bindings can stand here; empty when they can. Changes nothing. @throws Error{not_authorised}.
  std::string binding_fault();
  /// Makes the bindings as planned, where the kernel has nf_tables for bridges and libnftables is there;
  /// elsewhere it warns once. Returns whether anything had to change. @throws Error: not_authorised,
  /// timed_out.
  bool binding(const BindingPlan& plan, Deadline deadline);
  /// Whether the bindings are as planned, or cannot be. Changes nothing. @throws Error.
  bool is_pinned(const BindingPlan& plan);

 protected:
  /// That of the bindings.
  virtual Nftables& nftables() = 0;

 private:
  bool unable_ = false;
  bool able_ = false;  // was found to be
};

/// `kind` is not `automatic`. Touches nothing yet. @throws nothing.
std::unique_ptr<Backend> make_backend(Firewall kind);

/// "nftables", "iptables" and "auto" as values; nullopt for anything else.
std::optional<Firewall> parse_firewall(std::string_view text) noexcept;

/// What a choice depends on.
struct FirewallFacts {
  bool nf_tables = false;    ///< The kernel has it, or whether it has cannot be seen.
  bool libnftables = false;  ///< It can be opened.
  bool legacy_nat = false;   ///< The legacy ip_tables hold a table nat in this network namespace.
};

/// Never `automatic`, and why.
struct FirewallChoice {
  Firewall kind = Firewall::iptables;
  std::string reason;
};

/// What `automatic` means where nothing is held yet. Pure.
FirewallChoice choose(const FirewallFacts& facts);

/// `wanted`, or for `automatic` what $TC_HOSTNET_FIREWALL says, or choose() for the calling thread's network
/// namespace. @throws Error{invalid_argument} for a variable that says something else.
FirewallChoice choose(Firewall wanted);

/// What `wanted` and the environment ask for: `automatic` when they ask for nothing. @throws as choose().
Firewall wish(Firewall wanted);

/// The firewalls in which anything of ours may stand in the calling thread's network namespace.
std::vector<Firewall> in_use();

/// The bridges that have our guard before routing, in either firewall, whoever put it there. @throws Error.
std::vector<std::string> guarded_bridges();

/// All forwards that stand, in either firewall. Takes no lock, changes nothing. @throws Error.
std::vector<ForwardTraffic> read_traffic();

/// One part of a plan in the words of that firewall's own tool: iptables-restore's, or nft's.
std::string to_text(Firewall kind, const TablePlan& plan);

}  // namespace hostnet::firewall
