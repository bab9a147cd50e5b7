// What a container's labels ask for, and what is to be done about it: the judgement of `watch`, apart from
// its acts (watcher.hpp). Pure.
#pragma once

#include "engine/client.hpp"
#include "hostnet/error.hpp"
#include "hostnet/port.hpp"
#include "path/path.hpp"
#include "watch/allowance.hpp"

#include <sys/types.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::exposer {

/// "8080,5432:15432": ports as `expose` takes them, separated by commas.
inline constexpr const char* kPortsLabel = "io.github.tchostnet.ports";
/// "auto", "native", "helper" or "ssh"; what `watch` was told where it is absent.
inline constexpr const char* kViaLabel = "io.github.tchostnet.via";

/// A running container that asks for ports.
struct Wanted {
  std::string id;
  std::string name;
  pid_t run = 0;  ///< Its first process: another one after a restart.
  std::vector<HostPort> ports;
  const PathDriver* via = nullptr;  ///< nullptr: automatic.
  std::optional<Error> fault;       ///< Why its labels are not followed; the ports are empty then.
  std::vector<HostPort> refused;    ///< What it asks for and may not have: why there is a fault.
};

/// What `watch` was told of labels.
struct WatchRules {
  const PathDriver* via = nullptr;  ///< For containers whose labels name no path; nullptr: automatic.
  bool trust_images = false;        ///< Follow labels that the image has, too.
  Allowance allowance;
};

/// What the labels of a container ask for; nullopt when it does not run or asks for nothing.
///
/// An image brings labels, too, and the engine does not tell them apart. Running an image is no consent to
/// what it asks for: a label that the image has with the same value is a fault, unless the images are
/// trusted. Ports that the allowance does not cover are a fault of the whole label, images trusted or not.
std::optional<Wanted> wanted_by(const engine::Container& container,
                                const std::map<std::string, std::string>& image_labels,
                                const WatchRules& rules);

/// The same with the fault that the path of a Unix socket has a symbolic link in it: what was allowed is
/// where the path leads by itself. Looks at the file system.
Wanted with_links_refused(Wanted wanted);

/// The ports of a label's value, at most 4 KiB and 256 ports.
/// @throws Error: invalid_argument, conflict, each naming the label.
std::vector<HostPort> parse_ports_label(std::string_view value);

using WatchClock = std::chrono::steady_clock;

/// How it stands with a container that has been dealt with.
enum class Standing {
  held,     ///< Its ports are exposed.
  ended,    ///< They were, and somebody released them: not again before the container is restarted.
  refused,  ///< Its labels cannot be followed: likewise.
  waiting,  ///< It failed, and is to be tried again.
};

struct Dealt {
  Standing standing = Standing::held;
  pid_t run = 0;
  WatchClock::time_point again = {};  ///< For `waiting`.
};

/// What is to be done about one container, in this order.
struct WatchStep {
  bool release = false;
  bool expose = false;
  bool refuse = false;  ///< Tell the fault.
  bool forget = false;

  bool operator==(const WatchStep&) const = default;
};

/// `wanted`: what it asks for now, null for one that is gone or does not run. `dealt`: null for one that has
/// not been seen.
WatchStep next_step(const Wanted* wanted, const Dealt* dealt, WatchClock::time_point now);

/// How long to wait after the nth failure in a row (from 1 on): doubled each time, up to `longest`.
std::chrono::milliseconds backoff(unsigned failures, std::chrono::milliseconds first,
                                  std::chrono::milliseconds longest);

}  // namespace hostnet::exposer
