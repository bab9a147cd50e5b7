// A running sidecar: creates it, finds its address, reads its output and removes it.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "core/ipv4.hpp"
#include "engine/client.hpp"
#include "engine/containers.hpp"
#include "hostnet/error.hpp"

#include <chrono>
#include <memory>
#include <mutex>
#include <string>

namespace hostnet::exposer {

/// Where a sidecar is reached.
struct SidecarPlace {
  /// On its network, IPv4 before IPv6: what the alias resolves to. Not empty.
  std::vector<Ip> addresses;
  /// Dialled by us: the first address, or the published port on 127.0.0.1 or on the engine's machine.
  IpEndpoint sshd;

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
  Sidecar(const engine::Address& engine, const engine::ContainerSpec& spec, Deadline deadline);
  Sidecar(const Sidecar&) = delete;
  Sidecar& operator=(const Sidecar&) = delete;
  /// remove(), unless the engine gave no answer to that before; logs failures.
  ~Sidecar();

  [[nodiscard]] const std::string& id() const noexcept { return id_; }
  [[nodiscard]] SidecarPlace place() const;
  [[nodiscard]] const SidecarTimes& times() const noexcept { return times_; }
  /// A connection with the banner of its sshd unread. While it does not answer, inspects it for a new
  /// address.
  /// @throws Error: not_found when it is gone, timed_out.
  Fd dial(Deadline deadline);
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
  SidecarPlace look(Deadline deadline) const;
  Ipv4 published_at(const engine::Client& client) const;
  std::string hint() const;
  void listen_to_it() noexcept;
  void remove_or_log() noexcept;

  engine::Address engine_;
  bool published_;
  std::string id_;
  SidecarTimes times_;
  mutable std::mutex mutex_;
  SidecarPlace place_;
  std::string words_;
  bool removed_ = false;
  bool unanswered_ = false;  // the engine gave no answer to remove()
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
