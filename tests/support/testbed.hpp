// A host with bridges, containers and an uplink, for tests of the native path: the calling thread moves into
// a new namespace, which plays the host, and veth pairs connect the others to it. Snapshots of the host
// (rules, settings and lease store, as lines of text) show whether anything was left behind.
//   host       br0 198.18.0.1/24   br1 198.18.1.1/24   docker0 198.18.2.1/24   uplink0 198.18.9.1/24
//   on br0     container .2, neighbour .3, hostile .4;   on br1: other .2;   on uplink0, no bridge: uplink .2
//
// The host forwards packets and has rp_filter off: the best case for an attacker.
#pragma once

#include "core/fd.hpp"
#include "core/ipv4.hpp"
#include "hostnet/exposer.hpp"
#include "support/netns.hpp"
#include "support/temp_dir.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace test {

/// While it lives, the thread that made it is in a new network namespace.
class MovedThread {
 public:
  MovedThread();
  MovedThread(const MovedThread&) = delete;
  MovedThread& operator=(const MovedThread&) = delete;
  ~MovedThread();

 private:
  hostnet::Fd home_;
};

/// Whether the suite tests nftables; otherwise it tests ip_tables ($TC_HOSTNET_FIREWALL, which the library
/// and the command also read).
bool on_nftables();

/// Make and use it on one thread, which plays the host meanwhile.
class Testbed {
 public:
  enum class OwnRules {
    /// The rules of a typical host with Docker, in the iptables that the environment's TC_HOSTNET_TEST_HOST
    /// names ("iptables-legacy" or "iptables-nft"); no rules without that variable.
    as_told,
    /// For tests that flush whole tables: nothing would restore the host's rules.
    none,
  };
  /// Creates all four tables of legacy ip_tables at the start: an empty table counts the same as an absent
  /// one.
  explicit Testbed(OwnRules own = OwnRules::as_told);

  /// The addresses of the bridges, as members for brevity.
  const hostnet::Ipv4 gateway;         ///< br0's
  const hostnet::Ipv4 br1_gateway;     ///< br1's
  const hostnet::Ipv4 host_gateway;    ///< docker0's, to which an engine resolves `host-gateway`.
  const hostnet::Ipv4 uplink_address;  ///< uplink0's

 private:
  MovedThread host_;  // before the namespaces below: they are made from inside it

 public:
  NetNs container;
  NetNs neighbour;
  NetNs hostile;
  NetNs other;
  NetNs uplink;

  [[nodiscard]] std::string runtime_dir() const { return runtime_dir_.path().string(); }
  /// A native exposer with its lease store in runtime_dir().
  [[nodiscard]] std::unique_ptr<hostnet::Exposer> exposer(hostnet::StateCallback on_state = {}) const;
  /// A request for all containers on br0.
  [[nodiscard]] static hostnet::ExposeRequest on_br0(std::vector<hostnet::HostPort> ports);
  /// A request for the container only.
  [[nodiscard]] hostnet::ExposeRequest for_container(std::vector<hostnet::HostPort> ports) const;

  /// The rules of ip_tables and nf_tables without counters, route_localnet of every interface, and the files
  /// in runtime_dir().
  [[nodiscard]] std::string snapshot() const;
  /// Makes the current snapshot the expected final one.
  void remember() { before_ = snapshot(); }
  /// The lines added and removed since remember(), or since the start; empty when nothing changed.
  [[nodiscard]] std::string changes() const;

  /// The bridges with route_localnet=1 but without the complete guard before routing, each followed by a
  /// comma. Reads iptables-legacy-save's or nft's output, so it does not depend on the code under test.
  [[nodiscard]] std::string unguarded() const;

  /// Whether either firewall has any chain or table of ours.
  [[nodiscard]] static bool has_ours();
  /// The rules of the firewall under test, as printed by its own tool.
  [[nodiscard]] static std::string rules();

  /// A part of the guard that a test may remove by hand, to show what it protects from.
  enum class GuardPart {
    raw,         ///< Everything before routing.
    raw_source,  ///< The drop of sources in 127/8 before routing.
    input,
    output,
    input_expected,  ///< Of these two, the drop of connections that a conntrack helper expects.
    output_expected,
  };
  static void take_out(GuardPart part);

 private:
  TempDir runtime_dir_;
  std::string before_;
};

/// net.ipv4.conf.<interface>.route_localnet in the calling thread's namespace.
bool route_localnet(const std::string& interface);

/// The lines of `before` that are missing in `after`, each after "- ", and the new lines of `after`, each
/// after "+ ".
std::string difference(std::string_view before, std::string_view after);

/// Repeats the question until it is true; returns false when it is not within `patience`.
bool eventually(const std::function<bool()>& question, std::chrono::milliseconds patience);

}  // namespace test
