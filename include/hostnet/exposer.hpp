// The one interface behind which the paths stand.
#pragma once

#include "hostnet/export.hpp"
#include "hostnet/exposure.hpp"
#include "hostnet/firewall.hpp"
#include "hostnet/path.hpp"
#include "hostnet/port.hpp"
#include "hostnet/target.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace hostnet {

/// The fixed name under which a container reaches its host.
inline constexpr const char* kAlias = "host.testcontainers.internal";

/// One lease that is asked for.
struct ExposeRequest {
  Target target;                  ///< Who shall reach the ports.
  std::vector<HostPort> ports;    ///< Normalised by expose(); must not be empty after that.
  bool write_alias = true;        ///< Write the alias into running containers of the target.
  bool require_listener = false;  ///< Fail with not_listening when nobody listens on a host port.
  bool force = false;             ///< Go on over a listener on gateway:port and a firewall that may block.
  std::string label;              ///< Free text for `list`, at most 64 printable characters.
  std::optional<std::chrono::seconds> timeout;  ///< Released by itself after that long.
};

/// Whether a path can serve a target here, and every reason against.
struct Probe {
  bool usable = false;               ///< Whether expose() can be tried.
  std::vector<std::string> reasons;  ///< One line each; empty when usable.
};

/// Called when a lease ends other than by its own release(), when it is over and all of it is taken down: one
/// call at a time, from a thread of the library that does nothing else. It may release and destroy any
/// Exposure, the last one too, and the Exposer. What it throws goes to the log sink. The destructor of the
/// last of an exposer and its exposures waits for a call that is running; there is no call after that.
using StateCallback = std::function<void(const std::string& lease, ExposureState, const std::string& reason)>;

/// A path. Thread-safe. Exposures may outlive the Exposer that made them.
class HOSTNET_EXPORT Exposer {
 public:
  virtual ~Exposer() = default;

  /// The path by which this one goes: never `automatic`.
  [[nodiscard]] virtual Path path() const noexcept = 0;

  /// Looks, changes nothing. @throws nothing for "cannot be used here": that is data.
  [[nodiscard]] virtual Probe probe() = 0;

  /// Exposes all requests or none: when one fails, nothing of the others is left behind. Many requests cost
  /// one change of the kernel's tables. The ports are reachable when this returns.
  /// @throws Error: invalid_argument, not_found, conflict, not_listening, not_authorised, engine_unavailable,
  ///         engine_error, firewall_blocked, timed_out, failure.
  virtual std::vector<Exposure> expose_all(std::span<const ExposeRequest> requests) = 0;

  /// expose_all() for one request.
  Exposure expose(const ExposeRequest& request);
  /// expose() with every option at its default.
  Exposure expose(Target target, std::vector<HostPort> ports);
};

/// What an exposer is made with.
struct ExposerOptions {
  Path path = Path::automatic;  ///< `automatic`: the best that this machine allows.
  /// "unix:///run/docker.sock" or "tcp://host:2376"; empty: DOCKER_HOST, docker's context in use, the usual
  /// sockets.
  std::string engine;
  /// Where leases are kept, closed to the writes of others; empty: $TC_HOSTNET_RUNTIME_DIR, else
  /// /run/tc-hostnet, and for leases by ssh without root a folder of the user's (tc-hostnet(1), FILES).
  std::string runtime_dir;
  std::chrono::milliseconds deadline{30'000};  ///< For one expose call or one release.
  StateCallback on_state;                      ///< May be empty.
  bool interactive = true;  ///< Whether the helper may have the user asked for a password. The wait for that
                            ///< comes on top of the deadline, ten minutes at most.
  Firewall firewall = Firewall::automatic;  ///< For the native path. Another one than that in which leases
                                            ///< are held already is a `conflict`.
};

/// Makes the exposer for a path; `automatic` chooses.
/// @throws Error{no_path} with the reason against each path.
HOSTNET_EXPORT std::unique_ptr<Exposer> make_exposer(ExposerOptions options = {});

}  // namespace hostnet
