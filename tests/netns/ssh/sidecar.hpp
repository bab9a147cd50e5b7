// A sidecar as an engine would run it, without an engine: Debian's own sshd, started by the very command
// string and environment that a sidecar container is given, in network, mount and process namespaces of its
// own. Beside it on one bridge are the container that it serves and a neighbour.
//
//   host       br0 198.18.50.1/24     (the calling thread's namespace; the services' 127.0.0.1)
//   on br0     sidecar .2, container .3, neighbour .4
#pragma once

#include "core/ipv4.hpp"
#include "path/ssh/tunnel.hpp"
#include "support/netns.hpp"
#include "support/temp_dir.hpp"
#include "support/testbed.hpp"

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace test {

/// Services by the port that the container dials, each a port of the host's loopback: {{15432, 5432}}.
std::map<std::uint16_t, hostnet::ssh::Service> ports(
    std::initializer_list<std::pair<const std::uint16_t, std::uint16_t>> pairs);

/// To be made and used in one thread, which is "the host" meanwhile.
class Sidecar {
 public:
  /// Starts it, for the forwards of these services only. `lonely_limit` as SshdSetup has it; `more_config` is
  /// added to sshd's configuration.
  explicit Sidecar(std::map<std::uint16_t, hostnet::ssh::Service> services,
                   std::chrono::seconds lonely_limit = std::chrono::seconds{30},
                   const std::string& more_config = {});
  Sidecar(const Sidecar&) = delete;
  Sidecar& operator=(const Sidecar&) = delete;
  ~Sidecar();

 private:
  MovedThread host_;  // before the namespaces below: they are made from within it

 public:
  NetNs netns;
  NetNs container;
  NetNs neighbour;
  const hostnet::Ipv4 address;
  const hostnet::Ipv4 container_address;

  /// For one tunnel of all services; to be called once, for it gives the client key away.
  [[nodiscard]] hostnet::ssh::TunnelSettings settings();
  [[nodiscard]] hostnet::Endpoint at(std::uint16_t port) const { return {address, port}; }
  /// The private key's file, for programs other than ours.
  [[nodiscard]] std::string key_file() const { return (dir_.path() / "key").string(); }

  /// All of it, at once. Idempotent.
  void kill();
  /// Again, with the same keys and ports.
  void start();
  /// Whether it runs.
  [[nodiscard]] bool alive();
  /// Cuts the connections between the host and sshd with a reset, as a router that has forgotten them would.
  void cut_sessions() const;
  /// Stops every process of it, or lets them go on: whoever talks to it hears nothing.
  void freeze(bool frozen) const;
  /// What sshd has logged.
  [[nodiscard]] std::string log() const;

 private:
  TempDir dir_;
  std::map<std::uint16_t, hostnet::ssh::Service> services_;
  hostnet::ssh::Key client_;
  std::string host_public_key_;
  std::string command_;
  std::vector<std::string> environment_;
  pid_t process_ = -1;
};

/// Ten seconds from now.
inline hostnet::Deadline soon() { return hostnet::Deadline::after(std::chrono::seconds{10}); }

}  // namespace test
