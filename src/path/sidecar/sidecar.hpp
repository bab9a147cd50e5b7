// A running sidecar: made, found again, asked what it said, and removed.
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
  Ipv4 address;  ///< On its network: what the alias resolves to.
  Endpoint
      sshd;  ///< What we dial: that address, or the published port on 127.0.0.1 or on the engine's machine.
};

/// The time since `start`, for those who tune.
inline std::chrono::microseconds elapsed_since(Deadline::Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::microseconds>(Deadline::Clock::now() - start);
}

/// How long the engine took for each call.
struct SidecarTimes {
  std::chrono::microseconds create{0};
  std::chrono::microseconds start{0};
  std::chrono::microseconds look{0};  ///< Finding out its address.
};

/// Owns the container. Thread-safe but for its construction.
class Sidecar {
 public:
  /// Creates and starts it, and finds out where it is. What fails leaves no container behind.
  /// @throws Error: what the engine's calls throw, with the stage named.
  Sidecar(const engine::Address& engine, const engine::ContainerSpec& spec, Deadline deadline);
  Sidecar(const Sidecar&) = delete;
  Sidecar& operator=(const Sidecar&) = delete;
  /// remove(), with failures in the log.
  ~Sidecar();

  [[nodiscard]] const std::string& id() const noexcept { return id_; }
  [[nodiscard]] SidecarPlace place() const;
  [[nodiscard]] const SidecarTimes& times() const noexcept { return times_; }
  /// A connection on which its sshd's banner waits. Where it does not answer, it is looked up anew.
  /// @throws Error: not_found when it is gone, timed_out.
  Fd dial(Deadline deadline);
  /// Lets one more key in, as ssh::authorized_key() has it; nothing when it is let in already. For when its
  /// sshd answers. @throws Error: not_found when it is gone, engine_error, timed_out.
  void permit(const std::string& authorized_key, Deadline deadline);
  /// What it said last, one line; empty when that is not known. It is asked while dial() waits for it, for
  /// the engine forgets a container's words with the container.
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
};

/// Pulls an image that the engine lacks; its progress goes to the log. @throws Error: not_found with what to
/// do about an image that cannot be had, timed_out.
void fetch_image(engine::Containers& containers, const std::string& image, Deadline deadline);

/// Why an engine does not list what dead owners left: a warning where a person can mend it, else for who
/// looks closely.
void log_unlisted(const Error& error);

/// Removes the sidecars of owners that have died, by the labels that they were created with. Failures go to
/// the log.
void remove_orphans(engine::Client& client, Deadline deadline) noexcept;

/// Removes the container that a record names as the sidecar of a lease, if it was created as that. One that
/// is gone, and one that is another, is no failure. @throws Error.
void remove_recorded_sidecar(engine::Client& client, const std::string& sidecar, const std::string& lease,
                             Deadline deadline);

}  // namespace hostnet::exposer
