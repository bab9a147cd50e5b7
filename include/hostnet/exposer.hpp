// Exposers make leases. There is one Exposer per path, and make_exposer() selects it.
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

/// The alias: the fixed host name under which a container reaches its host.
inline constexpr const char* kAlias = "host.testcontainers.internal";

/// One requested lease. Name the members that you set: later versions add members at the end.
struct ExposeRequest {
  Target target;                     ///< Who gets access.
  std::vector<HostPort> ports = {};  ///< At least one. expose() normalises them.
  bool write_alias = true;           ///< Write the alias into running containers of the target.
  bool require_listener = false;     ///< Fail with not_listening when a host port has no listener.
  bool force = false;                ///< Ignore a listener on gateway:port and a firewall that may block.
  std::string label = {};            ///< Free text for `tc-hostnet list`, at most 64 printable characters.
  std::optional<std::chrono::seconds> timeout = std::nullopt;  ///< Ends the lease; nullopt: no limit.
};

/// Whether a path works on this machine. Later versions may add members at the end.
struct Probe {
  bool usable = false;                    ///< expose() can be tried.
  std::vector<std::string> reasons = {};  ///< What is missing, one line each; empty when usable.
};

/// Runs after a lease has ended and is cleaned up, unless its own release() or destructor ended it. A
/// separate library thread makes the calls, one at a time. A call may release and destroy any Exposure and
/// the Exposer, including the last. An exception goes to the log sink. The last destructor among the Exposer
/// and its Exposures waits for a running call; no call comes later.
using StateCallback = std::function<void(const std::string& lease, ExposureState, const std::string& reason)>;

/// Makes leases by one path. Thread-safe. An Exposure may outlive its Exposer. Not a base of user classes.
///
/// The first lease, or a StateCallback, starts threads. They end with the last of the Exposer and its
/// Exposures. In a forked child expose() and expose_all() throw Error{failure}, and the destructor does nothing;
/// the child can make its own Exposer.
class HOSTNET_EXPORT Exposer {
 public:
  virtual ~Exposer() = default;

  /// The path; never `automatic`.
  [[nodiscard]] virtual Path path() const noexcept = 0;

  /// Checks whether the path works, and changes nothing. An unusable path is a result, not an exception.
  [[nodiscard]] virtual Probe probe() = 0;

  /// Makes all leases or none: after a failure nothing of the others remains. Many requests need one change
  /// of the kernel's tables. The ports are reachable when this returns. Exposures have the order of the
  /// requests. @throws Error: invalid_argument, not_found, conflict, not_listening, not_authorised,
  /// interaction_required, quota_exceeded, engine_unavailable, engine_error, firewall_blocked, timed_out,
  /// state_corrupt, failure.
  virtual std::vector<Exposure> expose_all(std::span<const ExposeRequest> requests) = 0;

  /// expose_all() of one request.
  Exposure expose(const ExposeRequest& request);
  /// expose() with default options.
  Exposure expose(Target target, std::vector<HostPort> ports);
};

/// Options of an Exposer. Name the members that you set: later versions add members at the end.
struct ExposerOptions {
  /// `automatic`: the first path that works, in the order that Path names.
  Path path = Path::automatic;
  /// "unix:///run/docker.sock" or "tcp://host:2376". Empty: DOCKER_HOST, then Docker's current context, then
  /// the usual sockets.
  std::string engine = {};
  /// Folder of the lease records; other users cannot write it. Empty: $TC_HOSTNET_RUNTIME_DIR, else
  /// /run/tc-hostnet; without root on the ssh path, a folder of the user (tc-hostnet(1), FILES).
  std::string runtime_dir = {};
  /// Limit of one expose call or one release.
  std::chrono::milliseconds deadline{30'000};
  /// May be empty.
  StateCallback on_state = nullptr;
  /// Whether polkit may ask the user for a password on the helper path. The prompt adds at most ten minutes
  /// to the deadline.
  bool interactive = true;
  /// For the native path. A firewall other than that of present leases is a `conflict`.
  Firewall firewall = Firewall::automatic;
  /// Paths in the order to try them, each once: `{Path::relay, Path::ssh}`. Empty: `path`.
  std::vector<Path> paths = {};
};

/// Makes the Exposer of a path, or of several that are tried in turn. Thread-safe.
/// @throws Error{no_path} with the reason against each path; invalid_argument for ExposerOptions::paths.
HOSTNET_EXPORT std::unique_ptr<Exposer> make_exposer(ExposerOptions options = {});

}  // namespace hostnet
