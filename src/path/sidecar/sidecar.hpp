// A running sidecar: creates it, finds its address, reads its output and removes it.
#pragma once

#include "core/deadline.hpp"
#include "core/ip.hpp"
#include "engine/client.hpp"
#include "engine/containers.hpp"
#include "engine/exec_stream.hpp"
#include "hostnet/error.hpp"
#include "path/sidecar/candidates.hpp"
#include "path/sidecar/dial.hpp"

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::exposer {

/// How a new sidecar will be reached.
struct SidecarReach {
  Surroundings known;
  engine::Network network;  ///< The sidecar's.
  bool join = false;        ///< As Provision::join.
  /// Joins only a network whose addresses are known, so that they can be told from those of its own.
  bool only_with_subnets = false;
};

/// Where a sidecar is reached.
struct SidecarPlace {
  /// On its network, IPv4 before IPv6: what the alias resolves to. Not empty.
  std::vector<Ip> addresses;
  /// For us, in order.
  std::vector<DialCandidate> candidates;

  [[nodiscard]] Ip address() const { return addresses.front(); }
};

/// The time since `start`, for measurements.
inline std::chrono::microseconds elapsed_since(Deadline::Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::microseconds>(Deadline::Clock::now() - start);
}

/// How long the engine took for each call.
struct SidecarTimes {
  std::chrono::microseconds create{0};
  std::chrono::microseconds start{0};
  std::chrono::microseconds look{0};  ///< Inspecting it for its address.
};

/// Owns the container. Thread-safe after its construction.
class Sidecar {
 public:
  /// Creates and starts the container, and finds its address. A failure leaves no container behind.
  /// @throws Error: what the engine's calls throw, with the stage named.
  Sidecar(const engine::Address& engine, const engine::ContainerSpec& spec, SidecarReach reach,
          Deadline deadline);
  Sidecar(const Sidecar&) = delete;
  Sidecar& operator=(const Sidecar&) = delete;
  /// remove(), unless the engine gave no answer to that before; logs failures.
  ~Sidecar();

  [[nodiscard]] const std::string& id() const noexcept { return id_; }
  [[nodiscard]] SidecarPlace place() const;
  [[nodiscard]] const SidecarTimes& times() const noexcept { return times_; }
  /// Gives `accept` connections with the banner of an sshd unread, until it takes one. While none answers,
  /// inspects the sidecar for new addresses.
  /// @throws Error: not_found when it is gone, timed_out, and what `accept` throws.
  void dial(Deadline deadline, const ssh::Accept& accept);
  /// The candidate that led to it last; nullopt before dial().
  [[nodiscard]] std::optional<DialCandidate> dialled() const;
  /// The addresses of a network that it has joined for our sake: connections from there are not for the lease.
  [[nodiscard]] const std::vector<Subnet>& joined() const noexcept { return joined_; }
  /// Adds a line of ssh::authorized_key() to the permitted keys, unless it is there. Call it when sshd
  /// answers.
  /// @throws Error: not_found when it is gone, engine_error, timed_out.
  void permit(const std::string& authorized_key, Deadline deadline);
  /// Its last output, on one line; empty when unknown. dial() reads it while waiting, because the engine
  /// deletes a container's output with the container.
  [[nodiscard]] std::string last_words() noexcept;
  /// Removes it with its anonymous volumes. Idempotent. @throws Error.
  void remove(Deadline deadline);

 private:
  void create(const engine::ContainerSpec& spec, Deadline deadline);
  void join_ours(Deadline deadline);
  SidecarPlace look(Deadline deadline) const;
  std::vector<DialCandidate> in_order() const;
  ssh::Way way_by(const DialCandidate& candidate, bool is_last_but_one, Deadline deadline);
  ssh::Stream run_session(Deadline deadline);
  std::string hint() const;
  void listen_to_it() noexcept;
  void remove_or_log() noexcept;

  engine::Address engine_;
  SidecarReach reach_;
  std::string id_;
  SidecarTimes times_;
  std::vector<Subnet> joined_;
  mutable std::mutex mutex_;
  SidecarPlace place_;
  std::optional<DialCandidate> dialled_;
  std::string words_;
  bool removed_ = false;
  bool unanswered_ = false;                                    // the engine gave no answer to remove()
  std::vector<std::shared_ptr<engine::ExecStream>> sessions_;  // those that the engine carries
};

/// The image is not here and cannot be pulled (not_found). A path without a sidecar may still serve.
class NoSidecarImage : public Error {
 public:
  using Error::Error;
};

/// Pulls an image that the engine lacks and logs the progress. @throws NoSidecarImage with a hint;
/// Error{timed_out}.
void fetch_image(engine::Containers& containers, const std::string& image, Deadline deadline);

/// Logs why an engine does not list the resources of dead owners: a warning if the user can correct it, else
/// a debug line.
void log_unlisted(const Error& error);

/// Removes the sidecars of owners that have died, by the labels of their creation. Logs failures.
void remove_orphans(engine::Client& client, Deadline deadline) noexcept;

/// Removes the container that a record names as the sidecar of a lease, if it was created as that. A
/// container that is gone or is another one is no failure. @throws Error.
void remove_recorded_sidecar(engine::Client& client, const std::string& sidecar, const std::string& lease,
                             Deadline deadline);

}  // namespace hostnet::exposer
