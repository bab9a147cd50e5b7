// The part of the Engine API that makes and ends containers: what the sshd sidecar and `run --image` need.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"
#include "engine/stream.hpp"
#include "hostnet/error.hpp"
#include "hostnet/port.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::engine {

/// A container port that the engine shall publish on its host.
struct Publish {
  std::uint16_t container = 0;
  std::string host_ip;     ///< "127.0.0.1"; empty: every address.
  std::uint16_t host = 0;  ///< 0: the engine chooses.
  Protocol protocol = Protocol::tcp;
};

/// A command that tells the container's health.
struct HealthCheck {
  std::vector<std::string> command;
  std::chrono::milliseconds interval{1000};
  std::chrono::milliseconds timeout{1000};
  int retries = 3;  ///< So many failures in a row mean "unhealthy".
};

/// What a container is made from. Empty fields are left to the image and to the engine's defaults.
struct ContainerSpec {
  std::string name;
  std::string image;
  std::optional<std::vector<std::string>> entrypoint;
  std::optional<std::vector<std::string>> command;
  std::vector<std::string> environment;  ///< "NAME=value"
  std::map<std::string, std::string> labels;
  std::string network;                       ///< Name or id; empty: the engine's default network.
  std::vector<std::string> network_aliases;  ///< DNS names on a user-defined network.
  std::string mac;                           ///< Its Ethernet address there; needs `network`. Empty: any.
  std::vector<std::string> extra_hosts;      ///< "name:address"
  std::vector<Publish> ports;
  std::optional<HealthCheck> health_check;
  std::vector<std::string> cap_drop;
  std::vector<std::string> cap_add;
  std::map<std::string, std::string> sysctls;  ///< Of its own namespaces: {"net.ipv4.tcp_syncookies", "0"}.
  bool no_new_privileges = false;
  bool auto_remove = false;  ///< The engine removes it, and its anonymous volumes, when it ends.
  bool init = false;         ///< An init as pid 1 that passes signals on and reaps.
  bool open_stdin = false;
};

/// One line of the list of containers.
struct ContainerSummary {
  std::string id;
  std::string name;  ///< Without the leading slash.
  std::string image;
  std::string state;  ///< "running", "exited", …
  std::map<std::string, std::string> labels;
};

/// What a command inside a container gave.
struct ExecResult {
  int exit_code = 0;
  std::string out;  ///< Standard output, and
  std::string err;  ///< standard error, apart.
};

/// What a container has written.
struct Output {
  std::string out;
  std::string err;
};

struct ExecSpec {
  std::vector<std::string> command;
  std::string user;  ///< Empty: the container's own. "0": root.
  std::vector<std::string> environment;
  std::string working_dir;
  /// Given to its standard input, which ends after it; nullopt: it has none.
  std::optional<std::string> input = std::nullopt;
};

/// One line of a pull's progress: "3f1a…: Downloading 12 MB of 40 MB".
using ProgressSink = std::function<void(std::string_view)>;

/// The container calls of one engine. Refers to the client, which must outlive it. Not thread-safe. Throws
/// what Client's calls throw, and conflict for a name that is taken or a container in the wrong state.
class Containers {
 public:
  explicit Containers(Client& client) : client_(client) {}

  /// Returns the id. @throws Error: not_found where the image or the network does not exist (in the engine's
  /// words), conflict, invalid_argument for a description that cannot be sent (see create_request()).
  std::string create(const ContainerSpec& spec, Deadline deadline);
  /// Does everything that start() does but for starting the program: the container has an address then.
  /// Podman alone has such a call. @throws Error{engine_error} from Docker.
  void init(std::string_view id, Deadline deadline);
  /// Nothing when it runs. @throws Error: not_found also for its network, whose absence Docker notices no
  /// sooner; engine_error when a port to be published is taken.
  void start(std::string_view id, Deadline deadline);
  /// SIGTERM, then SIGKILL after `grace` (whole seconds). Nothing when it does not run.
  void stop(std::string_view id, std::chrono::seconds grace, Deadline deadline);
  /// "SIGTERM" or another name. @throws Error{conflict} when it does not run.
  void kill(std::string_view id, std::string_view signal, Deadline deadline);
  /// With its anonymous volumes, running or not. Returns whether it was there; one that is being removed
  /// already counts as gone.
  bool remove(std::string_view id, Deadline deadline);
  /// Waits until it has ended; its exit code. @throws Error{not_found} for one that removed itself before.
  int wait(std::string_view id, Deadline deadline);
  /// Unpacks a tar archive at a folder of the container, running or not. @throws Error{not_found} when there
  /// is no such folder.
  void unpack(std::string_view id, std::string_view folder, std::string_view archive, Deadline deadline);
  /// All of its output so far. @throws Error{engine_error} above 16 MiB.
  Output output(std::string_view id, Deadline deadline);
  /// The last `lines` of its output, both streams as they came. @throws Error{engine_error} above 16 MiB.
  std::string last_output(std::string_view id, int lines, Deadline deadline);
  /// Hands over its output from the beginning, as it comes, until it ends. Podman 4 leaves lines out where
  /// more than some ten thousand come in a second, as its own `podman logs -f` does. What it leaves out at
  /// the end is handed over after it, and an end that it overlooks is found within some ten seconds.
  void follow_output(std::string_view id, const OutputSink& sink, Deadline deadline);
  /// Runs a command in a running container, to its end. What cannot be started there gives 126 or 127 as a
  /// shell does, and the engine's words in one of the outputs. At the deadline the command is left to itself.
  /// @throws Error: conflict when the container does not run, engine_error for more than 16 MiB of output.
  ExecResult exec(std::string_view id, const ExecSpec& spec, Deadline deadline);
  /// All containers, running or not, that carry every one of these labels ("name" or "name=value").
  std::vector<ContainerSummary> list(const std::vector<std::string>& labels, Deadline deadline);

  /// @throws Error{engine_error} where Podman finds that no image could have that name.
  bool has_image(std::string_view reference, Deadline deadline);
  /// @throws Error: engine_error with the engine's own words when it cannot be pulled (the answer's status
  /// may be 200 even then), not_found when the registry does not have it (the engine may also call that its
  /// error).
  void pull(std::string_view reference, const ProgressSink& progress, Deadline deadline);

 private:
  ExecResult finish_exec(const std::string& exec, ExecResult result, Deadline deadline);
  Transport& transport();
  // The path of a request, with the prefix that this engine wants.
  std::string path(std::string_view rest, Deadline deadline);
  std::string of_container(std::string_view id, std::string_view rest, Deadline deadline);

  Client& client_;
};

}  // namespace hostnet::engine
