// The decisions of `watch`: what a container's labels request, and the next step for the container.
// watch/applier.hpp carries out the steps. Pure, except with_links_refused().
//
// next_step(), by what the container wants now and the Standing of its current run:
//
//   wanted            not seen        held       ended, refused  waiting, due     waiting, not due
//   nothing, or gone  -               release,   forget          forget           forget
//                                     forget
//   ports             expose          -          -               expose           -
//   a fault           refuse          -          -               refuse           -
//   a new run         n/a             release,   expose/refuse   expose/refuse    expose/refuse
//                                     expose/refuse
#pragma once

#include "engine/client.hpp"
#include "hostnet/error.hpp"
#include "hostnet/port.hpp"
#include "path/paths.hpp"
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
/// "auto" or paths in the order to try, "relay,ssh"; default: those of `watch`.
inline constexpr const char* kViaLabel = "io.github.tchostnet.via";

/// A running container that asks for ports.
struct Wanted {
  std::string id;
  std::string name;
  pid_t run = 0;  ///< Pid of its first process: changes with a restart.
  std::vector<HostPort> ports;
  PathOrder via = {};             ///< Empty: automatic.
  std::optional<Error> fault;     ///< Why `watch` does not follow its labels; `ports` is empty then.
  std::vector<HostPort> refused;  ///< Ports outside the allowance; cause of the fault.
};

/// The options of `watch` that concern labels.
struct WatchRules {
  PathOrder via = {};         ///< For containers whose labels name no path; empty: automatic.
  bool trust_images = false;  ///< Also follow labels that the image has.
  Allowance allowance;
};

/// What the labels of a container request; nullopt when it does not run or requests nothing.
///
/// An image also has labels, and the engine merges them into the container's. Running an image is no consent
/// to its labels: a label with the same value in the image is a fault, unless images are trusted. A port
/// outside the allowance is a fault of the whole label, even with trusted images.
std::optional<Wanted> wanted_by(const engine::Container& container,
                                const std::map<std::string, std::string>& image_labels,
                                const WatchRules& rules);

/// Adds a fault if the path of a Unix socket contains a symbolic link: the allowance covers the path itself,
/// not the target of a link. Reads the file system.
Wanted with_links_refused(Wanted wanted);

/// Parses the ports of a label's value: at most 4 KiB and 256 ports.
/// @throws Error: invalid_argument, conflict, each naming the label.
std::vector<HostPort> parse_ports_label(std::string_view value);

/// A label that looks like one of the two above and has no effect.
struct NearLabel {
  std::string written;
  const char* meant;
};

/// The first such label; nullopt without one, and for a container that this library made. Pure.
std::optional<NearLabel> near_label(const std::map<std::string, std::string>& labels);

using WatchClock = std::chrono::steady_clock;

/// State of one run of a container that `watch` has handled.
enum class Standing {
  held,     ///< Its ports are exposed.
  ended,    ///< Released, but not by `watch`: not exposed again in this run.
  refused,  ///< Its labels or the request have a fault: not exposed in this run.
  waiting,  ///< Failed, or not done yet: tried at Dealt::again.
};

struct Dealt {
  Standing standing = Standing::held;
  pid_t run = 0;
  WatchClock::time_point again = {};  ///< For `waiting`.
};

/// The next acts for one container, in this order.
struct WatchStep {
  bool release = false;
  bool expose = false;
  bool refuse = false;  ///< Report the fault.
  bool forget = false;

  bool operator==(const WatchStep&) const = default;
};

/// `wanted`: what the container requests now; null if it is gone, does not run or requests nothing. `dealt`:
/// null if `watch` has not handled it.
WatchStep next_step(const Wanted* wanted, const Dealt* dealt, WatchClock::time_point now);

/// The wait after the nth failure in a row, n from 1: `first`, doubled for each further failure, at most
/// `longest`.
std::chrono::milliseconds backoff(unsigned failures, std::chrono::milliseconds first,
                                  std::chrono::milliseconds longest);

}  // namespace hostnet::exposer
