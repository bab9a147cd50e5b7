// Follows each lease, in threads where there are several, and a compose project in its networks.
#include "cli/hold.hpp"

#include "cli/exit_code.hpp"
#include "cli/lease_view.hpp"
#include "cli/output.hpp"
#include "cli/stop_signals.hpp"
#include "cli/unserved.hpp"
#include "core/log.hpp"
#include "core/printable.hpp"
#include "core/thread.hpp"
#include "engine/client.hpp"
#include "hostnet/error.hpp"
#include "lease/checks.hpp"
#include "lease/command_line.hpp"
#include "lease/exposure_impl.hpp"
#include "lease/listening.hpp"
#include "lease/port_json.hpp"
#include "path/paths.hpp"
#include "target/project.hpp"
#include "watch/follower.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <syslog.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>

namespace hostnet::cli {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr seconds kProjectLook{1};    // between two looks for new networks of a project
constexpr seconds kProjectAnswer{2};  // for each; a stop waits for it
constexpr seconds kPatience{5};       // with a new network that cannot be served, before that is told
constexpr seconds kRarely{10};        // between two attempts after that

// The lease's ports with the addresses where their services listen now, as the path reaches them.
std::vector<std::string> found_services(const Exposure& exposure) {
  const auto* const path = exposer::find_path(exposer::paths(), BehindExposure::via(exposure));
  const bool by_bridge = path != nullptr && path->serves_bridges;
  exposer::Listeners listeners;
  std::vector<std::string> out;
  for (const auto& port : exposure.ports())
    out.push_back(found_at(port, listeners.on(port.protocol, port.host),
                           by_bridge ? exposer::Origin::bridge : exposer::Origin::host));
  return out;
}

void announce(const Exposure& exposure, const ExposeRequest& request, const ExposeOptions& words,
              const Globals& globals) {
  const auto found = found_services(exposure);
  auto ports = exposure.ports();
  if (globals.json) {
    auto listed = to_json(ports);
    for (std::size_t i = 0; i < found.size(); ++i)
      if (!found[i].empty()) listed[i]["found"] = found[i];
    json::Value event{{"event", "ready"},
                      {"lease", exposure.id()},
                      {"target", request.target.to_string()},
                      {"via", BehindExposure::via(exposure)},
                      {"alias", kAlias},
                      {"gateway", exposure.gateway()},
                      {"ports", std::move(listed)}};
    add_place(event, BehindExposure::via(exposure), exposure.interface());
    return print_json(std::move(event));
  }
  print(exposure.id());
  for (std::size_t i = 0; i < ports.size() && i < 10; ++i) {
    if (found[i] == "::1") ports[i].address = found[i];
    say(fmt::format("{}:{} ({}) → {}, for {}", kAlias, ports[i].container, exposure.gateway(),
                    ports[i].service(), request.target.to_string()));
  }
  if (ports.size() > 10) say(fmt::format("… and {} more ports", ports.size() - 10));
  const auto* const via = BehindExposure::via(exposure);
  if (words.detach)
    say(fmt::format("served by {} in the background; to stop it: tc-hostnet release {}", via, exposure.id()));
  else
    say(fmt::format("served by {}; Ctrl-C to stop", via));
}

// Tells the end of a lease in its last line; returns the exit code.
int tell_end(const exposer::Follower::End& end, const ExposeRequest& request, const Globals& globals) {
  if (globals.json)
    print_json(
        {{"event", "ended"}, {"lease", end.lease}, {"state", to_string(end.state)}, {"reason", end.reason}});
  if (!end.asked_for) {
    const Error error(Errc::failure, fmt::format("lease {} ended: {}", end.lease, end.reason),
                      "to expose it again: " + exposer::expose_command(request.ports, request.target));
    print_error(error);
    return exit_code(error.code());
  }
  const auto how = end.reason == "released" ? end.reason : "ended: " + end.reason;
  if (!globals.json) say(fmt::format("lease {} {}; nothing of it is left", end.lease, how));
  return 0;
}

void tell_away(const std::string& lease, const std::string& reason, const ExposeRequest& request,
               const Globals& globals) {
  if (globals.json) return print_json({{"event", "waiting"}, {"lease", lease}, {"reason", reason}});
  say(fmt::format("lease {} waits for {}: {}", lease, request.target.to_string(), reason));
}

void tell_back(const Exposure& exposure, const ExposeRequest& request, const Globals& globals) {
  if (globals.json) {
    json::Value event{{"event", "followed"}, {"lease", exposure.id()}, {"gateway", exposure.gateway()}};
    add_place(event, BehindExposure::via(exposure), exposure.interface());
    return print_json(std::move(event));
  }
  say(fmt::format("lease {} serves {} again", exposure.id(), request.target.to_string()));
}

// A lease in the background has no terminal to tell its end at.
void log_end(const std::string& lease, const ExposeRequest& request, const std::string& how, int priority) {
  ::syslog(LOG_DAEMON | priority, "%s",
           printable(fmt::format("lease {} for {} {}", lease, request.target.to_string(), how)).c_str());
}

int follow(exposer::Follower& follower, const ExposeRequest& request, int stop_fd, bool in_background,
           const Globals& globals) {
  try {
    const auto end = follower.run(stop_fd);
    if (in_background)
      log_end(end.lease, request, "ended: " + end.reason, end.asked_for ? LOG_NOTICE : LOG_WARNING);
    return tell_end(end, request, globals);
  } catch (const Error& error) {
    if (in_background)
      log_end(follower.exposure().id(), request, fmt::format("ended: {}; {}", error.what(), error.hint()),
              LOG_WARNING);
    print_error(error);
    return exit_code(error.code());
  }
}

// The leases of one command. With more than one, each is followed in a thread of its own: they share nothing but the
// stop signals.
class Leases {
 public:
  Leases(const ExposeOptions& words, const Globals& globals, const StopSignals& signals)
      : words_(words), globals_(globals), signals_(signals), began_(steady_clock::now()) {}

  void add(const ExposeRequest& request) {
    exposer::Follower::Settings settings{
        .exposer = exposer_options(globals_),
        .order = words_.request.order(),
        .request = request,
        .once = words_.once,
        .on_away = [this, request](
                       const std::string& lease,
                       const std::string& reason) { tell_away(lease, reason, request, globals_); },
        .on_back = [this, request](const Exposure& exposure) { tell_back(exposure, request, globals_); },
    };
    settings.exposer.firewall = words_.request.wanted_firewall();
    auto follower = std::make_unique<exposer::Follower>(std::move(settings));
    auto& one = held_.emplace_back();
    one.request = request;
    one.follower = std::move(follower);
  }

  // One network of a project that cannot be served keeps no other from it.
  void add_all(const Requests& requests) {
    if (words_.request.project.empty()) {
      for (const auto& request : requests) add(request);
      return;
    }
    Unserved unserved(words_.request.project);
    for (const auto& request : requests) {
      try {
        add(request);
      } catch (const Error& error) {
        if (signals_.number() != 0) throw;  // a signal stops the set-up
        unserved.add(request.target.name(), error);
        refusals_[request.target.name()] = {.told = true, .next = steady_clock::now() + kRarely};
      }
    }
    unserved.tell(!held_.empty());
  }

  void announce_all() const {
    for (const auto& one : held_) announce(one.follower->exposure(), one.request, words_, globals_);
  }

  // Returns when all are over. The exit code is the largest.
  int follow_all() {
    const bool grows = !words_.request.project.empty() && !words_.once;
    if (held_.size() == 1 && !grows) return follow(held_.front());
    for (auto& one : held_) start(one);
    if (grows) follow_project();
    int code = 0;
    for (auto& one : held_) {
      one.thread.join();
      code = std::max(code, one.code);
    }
    return code;
  }

 private:
  struct Held {
    ExposeRequest request{.target = Target::network(""), .ports = {}};
    std::unique_ptr<exposer::Follower> follower;
    int code = 0;
    std::atomic<bool> over = false;
    std::jthread thread;
  };

  struct Refusal {
    steady_clock::time_point since = steady_clock::now();
    bool told = false;
    steady_clock::time_point next = {};  // attempt
  };

  [[nodiscard]] int follow(const Held& one) const {
    return cli::follow(*one.follower, one.request, signals_.fd(), words_.detach, globals_);
  }

  void start(Held& one) {
    one.thread = start_thread("tchn-follow", [this, &one] {
      one.code = follow(one);
      one.over = true;
    });
  }

  // Until a signal, or the end of all leases: one for each network that the project gets meanwhile.
  void follow_project() {
    for (;;) {
      pollfd stop{signals_.fd(), POLLIN, 0};
      const auto got = ::poll(&stop, 1, std::chrono::milliseconds(kProjectLook).count());
      if (got > 0 || (got < 0 && errno != EINTR)) return;
      if (std::ranges::all_of(held_, [](const Held& one) { return one.over.load(); })) return;
      for (const auto& name : networks_now()) take_in(name);
    }
  }

  // Of the project; none if the engine does not say, or it is down.
  std::vector<std::string> networks_now() const {
    try {
      engine::Client client(engine::Address::find(globals_.engine));
      return exposer::networks_of_project(client, words_.request.project, Deadline::after(kProjectAnswer));
    } catch (const Error& error) {
      log::debug("compose project {}: {}", words_.request.project, error.what());
      return {};
    }
  }

  void take_in(const std::string& name) {
    const auto is_here = [&](const Held& one) { return one.request.target.name() == name; };
    if (std::ranges::any_of(held_, is_here)) return;
    if (const auto refusal = refusals_.find(name);
        refusal != refusals_.end() && steady_clock::now() < refusal->second.next)
      return;
    auto request = held_.front().request;
    request.target = Target::network(name);
    if (request.timeout) {
      const auto held = std::chrono::floor<seconds>(steady_clock::now() - began_);
      if (held >= *request.timeout) return;
      *request.timeout -= held;
    }
    try {
      add(request);
    } catch (const Error& error) {
      // Podman makes a network's bridge with its first container, so that a refusal may last for a moment only.
      const auto now = steady_clock::now();
      auto& refusal = refusals_[name];
      const bool is_stubborn = now - refusal.since >= kPatience;
      if (is_stubborn && !std::exchange(refusal.told, true))
        warn_unserved(words_.request.project, name, error);
      if (is_stubborn) refusal.next = now + kRarely;
      return;
    }
    refusals_.erase(name);
    announce(held_.back().follower->exposure(), request, words_, globals_);
    start(held_.back());
  }

  const ExposeOptions& words_;
  const Globals& globals_;
  const StopSignals& signals_;
  steady_clock::time_point began_;
  std::deque<Held> held_;                    // its elements stay where they are
  std::map<std::string, Refusal> refusals_;  // by network
};

}  // namespace

int hold(const Requests& requests, const ExposeOptions& words, const Globals& globals,
         const std::function<void()>& when_ready) {
  allow_many_descriptors();
  demote_ends();  // this command tells them itself
  StopSignals signals(StopSignals::Phase::setting_up);
  try {
    Leases leases(words, globals, signals);
    leases.add_all(requests);
    if (signals.stand()) {
      leases.announce_all();
      when_ready();
      return leases.follow_all();
    }
  } catch (const Error&) {
    if (signals.number() == 0) throw;
  }
  return tell_stopped(signals.number());
}

}  // namespace hostnet::cli
