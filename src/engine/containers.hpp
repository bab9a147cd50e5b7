// The Engine API calls that create and end containers, for the sshd sidecar and `run --image`.
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

struct OpenStream;

/// A container port to publish on the engine's host.
struct Publish {
  std::uint16_t container = 0;
  std::string host_ip;     ///< "127.0.0.1"; empty: every address.
  std::uint16_t host = 0;  ///< 0: the engine chooses.
  Protocol protocol = Protocol::tcp;
};

/// A file or folder of the engine's host, in a container.
struct BindMount {
  std::string source;  ///< Absolute. Must exist: the engine creates nothing there.
  std::string target;
};

/// A command that checks the container's health.
struct HealthCheck {
  std::vector<std::string> command;
  std::chrono::milliseconds interval{1000};
  std::chrono::milliseconds timeout{1000};
  int retries = 3;  ///< Failures in a row until "unhealthy".
};

/// Description of a new container. The image and the engine's defaults fill in empty fields.
struct ContainerSpec {
  std::string name;
  std::string image;
  std::optional<std::vector<std::string>> entrypoint;
  std::optional<std::vector<std::string>> command;
  std::vector<std::string> environment;  ///< "NAME=value"
  std::map<std::string, std::string> labels;
  std::string network;                       ///< Name or id; empty: the engine's default network.
  std::vector<std::string> network_aliases;  ///< DNS names on a user-defined network.
  std::string mac;                           ///< Ethernet address on `network`, which it needs. Empty: any.
  std::vector<std::string> extra_hosts;      ///< "name:address"
  std::vector<Publish> ports;
  std::optional<HealthCheck> health_check;
  std::vector<std::string> cap_drop;
  std::vector<std::string> cap_add;
  std::map<std::string, std::string> sysctls;  ///< Of its own namespaces: {"net.ipv4.tcp_syncookies", "0"}.
  bool no_new_privileges = false;
  bool auto_remove = false;  ///< The engine removes it, and its anonymous volumes, when it ends.
  bool init = false;         ///< An init runs as pid 1, passes signals on and reaps.
  bool open_stdin = false;
  bool stdin_once = false;  ///< Its standard input ends with the first attachment's.
  bool tty = false;
  std::string user;  ///< "0:0"; empty: the image's.
  std::vector<BindMount> binds;
  bool read_only_root = false;
  bool no_log = false;              ///< The engine keeps nothing of its output.
  bool no_selinux_label = false;    ///< Lets it use what is bound into it on a host with SELinux.
  std::string userns;               ///< "host", Podman's "ns:PATH"; empty: the engine's default.
  std::int64_t memory = 0;          ///< Bytes; 0: no limit.
  std::int64_t most_processes = 0;  ///< 0: no limit.
};

/// One line of the list of containers.
struct ContainerSummary {
  std::string id;
  std::string name;  ///< Without the leading slash.
  std::string image;
  std::string state;  ///< "running", "exited", …
  std::map<std::string, std::string> labels;
};

/// Result of a command inside a container.
struct ExecResult {
  int exit_code = 0;
  std::string out;  ///< Standard output.
  std::string err;  ///< Standard error.
};

/// Output of a container.
struct Output {
  std::string out;
  std::string err;
};

struct ExecSpec {
  std::vector<std::string> command;
  std::string user;  ///< Empty: the container's default. "0": root.
  std::vector<std::string> environment;
  std::string working_dir;
  /// Sent to standard input, followed by end of file; nullopt: no standard input.
  std::optional<std::string> input = std::nullopt;
};

/// What an attachment carries.
struct AttachSpec {
  int input = -1;                    ///< Read and sent to its standard input; -1: none.
  OutputSink sink = nullptr;         ///< Takes its output as it comes, byte for byte; empty: none.
  bool tty = false;                  ///< It was created with a terminal: all output is Stream::out.
  int stop = -1;                     ///< Readable: leave at once.
  std::function<void()> ready = {};  ///< Called once attached.
};

/// One line of a pull's progress: "3f1a…: Downloading 12 MB of 40 MB".
using ProgressSink = std::function<void(std::string_view)>;

/// The container calls of one engine. The client must outlive it. Not thread-safe.
/// @throws Error as Client's calls; conflict for a name in use or a container in the wrong state.
class Containers {
 public:
  explicit Containers(Client& client) : client_(client) {}

  /// Returns the id. @throws Error: not_found for an unknown image or network (with the engine's message),
  /// conflict, invalid_argument for a description that create_request() rejects.
  std::string create(const ContainerSpec& spec, Deadline deadline);
  /// Prepares the container as start() does, without starting the program: the container then has an address.
  /// Only Podman has this call. @throws Error{engine_error} from Docker.
  void init(std::string_view id, Deadline deadline);
  /// Does nothing to a running container. @throws Error: not_found also for a missing network, which Docker
  /// notices only now; engine_error when a port to publish is in use.
  void start(std::string_view id, Deadline deadline);
  /// SIGTERM, then SIGKILL after `grace` (whole seconds). Does nothing to a container that is not running.
  void stop(std::string_view id, std::chrono::seconds grace, Deadline deadline);
  /// `signal`: "SIGTERM" or another name. @throws Error{conflict} when the container is not running.
  void kill(std::string_view id, std::string_view signal, Deadline deadline);
  /// Removes it with its anonymous volumes, running or not. Returns whether it existed; a container whose
  /// removal is in progress counts as gone.
  bool remove(std::string_view id, Deadline deadline);
  /// Waits for the container's end; returns its exit code. @throws Error{not_found} if it removed itself
  /// before.
  int wait(std::string_view id, Deadline deadline);
  /// Unpacks a tar archive into a folder of the container, running or not. @throws Error{not_found} when the
  /// folder does not exist.
  void unpack(std::string_view id, std::string_view folder, std::string_view archive, Deadline deadline);
  /// All output so far. @throws Error{engine_error} above 16 MiB.
  Output output(std::string_view id, Deadline deadline);
  /// The last `lines` of output, both streams in order. @throws Error{engine_error} above 16 MiB.
  std::string last_output(std::string_view id, int lines, Deadline deadline);
  /// Passes all output to the sink as it comes, until the container ends. Podman 4 drops lines above some ten
  /// thousand a second, as its own `podman logs -f` does, and may drop the last ones. Lines dropped at the
  /// end are read again and passed on; an end that Podman misses is detected within some ten seconds.
  void follow_output(std::string_view id, const OutputSink& sink, Deadline deadline);
  /// Carries a container's streams, from before its start on, without the engine's log. Waits until the container
  /// ends or `stop` is readable. `deadline` bounds the attaching alone. @throws what the sink throws.
  void attach(std::string_view id, const AttachSpec& spec, Deadline deadline);
  /// The size of its terminal.
  void resize(std::string_view id, unsigned rows, unsigned columns, Deadline deadline);
  /// Runs a command in a running container to its end. A command that cannot start gives 126 or 127, as in a
  /// shell, and the engine's message in one of the outputs. The command goes on running after the deadline.
  /// @throws Error: conflict when the container is not running, engine_error above 16 MiB of output.
  ExecResult exec(std::string_view id, const ExecSpec& spec, Deadline deadline);
  /// Starts a command whose standard streams are then the connection: its input as it is, its output as a
  /// Demultiplexer takes it. The command's input ends with the connection.
  OpenStream open_exec(std::string_view id, ExecSpec spec, Deadline deadline);
  /// All containers, running or not, that carry every one of these labels ("name" or "name=value").
  std::vector<ContainerSummary> list(const std::vector<std::string>& labels, Deadline deadline);

  /// @throws Error{engine_error} when Podman rejects the name as invalid.
  bool has_image(std::string_view reference, Deadline deadline);
  /// @throws Error: engine_error with the engine's message when the pull fails (even with status 200),
  /// not_found when the registry does not have the image (some engines report engine_error for that).
  void pull(std::string_view reference, const ProgressSink& progress, Deadline deadline);

 private:
  std::string make_exec(std::string_view id, const ExecSpec& spec, Deadline deadline);
  ExecResult finish_exec(const std::string& exec, ExecResult result, Deadline deadline);
  Transport& transport();
  // Adds the prefix of the engine's API version.
  std::string path(std::string_view rest, Deadline deadline);
  std::string of_container(std::string_view id, std::string_view rest, Deadline deadline);

  Client& client_;
};

}  // namespace hostnet::engine
