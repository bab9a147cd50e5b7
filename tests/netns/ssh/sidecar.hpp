// A sidecar without an engine: Debian's sshd, started with the exact command string and environment of a
// sidecar container, in its own network, mount and process namespaces. On the same bridge are the container
// that it serves and a neighbour.
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
#include <functional>
#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace test {

/// Services by the port that the container dials; each is a port on the host's loopback: {{15432, 5432}}.
std::map<std::uint16_t, hostnet::ssh::Service> ports(
    std::initializer_list<std::pair<const std::uint16_t, std::uint16_t>> pairs);

/// Create and use it in one thread, which is "the host" for its lifetime.
class Sidecar {
 public:
  /// Starts it with forwards of these services only. `lonely_limit` as in SshdSetup; `more_config` is added
  /// to sshd's configuration.
  explicit Sidecar(std::map<std::uint16_t, hostnet::ssh::Service> services,
                   std::chrono::seconds lonely_limit = std::chrono::seconds{30},
                   const std::string& more_config = {});
  Sidecar(const Sidecar&) = delete;
  Sidecar& operator=(const Sidecar&) = delete;
  ~Sidecar();

 private:
  MovedThread host_;  // before the namespaces below, which are created in it

 public:
  NetNs netns;
  NetNs container;
  NetNs neighbour;
  const hostnet::Ipv4 address;
  const hostnet::Ipv4 container_address;

  /// Settings of one tunnel for all services. Call once: it moves the client key out.
  [[nodiscard]] hostnet::ssh::TunnelSettings settings();
  [[nodiscard]] hostnet::Endpoint at(std::uint16_t port) const { return {address, port}; }
  /// The private key's file, for programs other than ours.
  [[nodiscard]] std::string key_file() const { return (dir_.path() / "key").string(); }

  /// Kills all its processes immediately. Idempotent.
  void kill();
  /// Starts it again, with the same keys and ports.
  void start();
  /// Whether it runs.
  [[nodiscard]] bool alive();
  /// Resets the connections between the host and sshd, like a router that has lost its state.
  void cut_sessions() const;
  /// Stops or continues all its processes; a stopped sidecar answers nothing.
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

/// Dials an sshd that has but one place.
void dial_one(const hostnet::IpEndpoint& at, hostnet::Deadline deadline,
              const std::function<void()>& still_there, const hostnet::ssh::Accept& accept);
/// As TunnelSettings::dial.
std::function<void(hostnet::Deadline, const hostnet::ssh::Accept&)> dial_at(const hostnet::IpEndpoint& at);
/// A connection with the banner unread.
hostnet::Fd connection_to(const hostnet::IpEndpoint& at, hostnet::Deadline deadline);

}  // namespace test
