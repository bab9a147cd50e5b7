// A host with bridges, containers and an uplink, for the tests of the native path: the calling thread moves
// into a fresh namespace that plays the host, the others hang on it by veth pairs. And what a host looks like
// to somebody who wants to know whether anything was left behind: its rules, its settings and the state
// folder, as lines of text.
//
//   host       br0 198.18.0.1/24   br1 198.18.1.1/24   docker0 198.18.2.1/24   uplink0 198.18.9.1/24
//   on br0     container .2, neighbour .3, hostile .4;   on br1: other .2;   on uplink0, no bridge: uplink .2
//
// The host forwards and has rp_filter off, which is the most that an attacker can hope for.
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

/// As long as it lives, its maker's thread is in a fresh network namespace.
class MovedThread {
 public:
  MovedThread();
  MovedThread(const MovedThread&) = delete;
  MovedThread& operator=(const MovedThread&) = delete;
  ~MovedThread();

 private:
  hostnet::Fd home_;
};

/// Whether the suite is run against nftables; otherwise, against ip_tables ($TC_HOSTNET_FIREWALL, which the
/// library and the command take as well).
bool on_nftables();

/// To be made and used in one thread, which is "the host" meanwhile.
class Testbed {
 public:
  enum class OwnRules {
    /// Those of a usual host with Docker, by the iptables that the environment's TC_HOSTNET_TEST_HOST names
    /// ("iptables-legacy" or "iptables-nft"); none where it names none.
    as_told,
    /// For tests that flush whole tables: nobody would put those back.
    none,
  };
  /// All four tables of legacy ip_tables exist from the beginning: an empty one is what an absent one means.
  explicit Testbed(OwnRules own = OwnRules::as_told);

  /// The gateways of the bridges, as members for brevity.
  const hostnet::Ipv4 gateway;         ///< br0's
  const hostnet::Ipv4 br1_gateway;     ///< br1's
  const hostnet::Ipv4 host_gateway;    ///< docker0's, to which an engine resolves `host-gateway`.
  const hostnet::Ipv4 uplink_address;  ///< uplink0's

 private:
  MovedThread host_;  // before the namespaces below: they are made from within it

 public:
  NetNs container;
  NetNs neighbour;
  NetNs hostile;
  NetNs other;
  NetNs uplink;

  [[nodiscard]] std::string runtime_dir() const { return runtime_dir_.path().string(); }
  /// A native exposer whose state is in runtime_dir().
  [[nodiscard]] std::unique_ptr<hostnet::Exposer> exposer(hostnet::StateCallback on_state = {}) const;
  /// A request for everybody on br0.
  [[nodiscard]] static hostnet::ExposeRequest on_br0(std::vector<hostnet::HostPort> ports);
  /// A request for the container alone.
  [[nodiscard]] hostnet::ExposeRequest for_container(std::vector<hostnet::HostPort> ports) const;

  /// Rules of both ip_tables and nf_tables without counters, route_localnet of every interface, files in
  /// runtime_dir().
  [[nodiscard]] std::string snapshot() const;
  /// Takes what is there now as what must be there in the end.
  void remember() { before_ = snapshot(); }
  /// The lines that have come and gone since remember(), or since the beginning; empty when nothing has
  /// changed.
  [[nodiscard]] std::string changes() const;

  /// The bridges, by a comma each, that have route_localnet=1 and not the whole guard before routing. By what
  /// iptables-legacy-save or nft prints, so it does not believe the code under test.
  [[nodiscard]] std::string unguarded() const;

  /// Whether any chain or table of ours is there, in either firewall.
  [[nodiscard]] static bool has_ours();
  /// The rules of the firewall under test, as its own tool prints them.
  [[nodiscard]] static std::string rules();

  /// What of the guard a test may take out by hand, to see what it is good for.
  enum class GuardPart {
    raw,         ///< All that is before routing.
    raw_source,  ///< Of that, the drop of sources in 127/8.
    input,
    output,
    input_expected,  ///< Of these two, the drop of what a conntrack helper has foretold.
    output_expected,
  };
  static void take_out(GuardPart part);

 private:
  TempDir runtime_dir_;
  std::string before_;
};

/// net.ipv4.conf.<interface>.route_localnet in the calling thread's namespace.
bool route_localnet(const std::string& interface);

/// The lines of `before` that are not in `after`, each with "- ", and those of `after` not in `before` with
/// "+ ".
std::string difference(std::string_view before, std::string_view after);

/// Asks again and again until it is so; false when it was not within the time.
bool eventually(const std::function<bool()>& question, std::chrono::milliseconds patience);

}  // namespace test
