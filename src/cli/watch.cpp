// `tc-hostnet watch`: exposes ports to labelled containers while they run.
#include "cli/command.hpp"
#include "cli/lease_view.hpp"
#include "cli/output.hpp"
#include "cli/request_options.hpp"
#include "cli/stop_signals.hpp"
#include "core/event_loop.hpp"
#include "core/fd.hpp"
#include "hostnet/error.hpp"
#include "lease/port_json.hpp"
#include "watch/watcher.hpp"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <exception>
#include <memory>

namespace hostnet::cli {
namespace {

using exposer::Wanted;
using exposer::Watcher;
using exposer::WatchEvent;
using Kind = WatchEvent::Kind;

struct WatchOptions {
  RequestOptions request;  // Uses only its path and firewall.
  bool trust_images = false;
  std::vector<std::string> allow;
  std::vector<std::string> allow_socket;
};

json::Value object_of(const WatchEvent& event) {
  json::Value object{{"event", to_string(event.kind)}};
  if (!event.engine.empty()) object["engine"] = event.engine;
  if (!event.id.empty()) {
    object["container"] = event.name;
    object["container_id"] = event.id;
    if (event.kind != Kind::unknown_label) object["ports"] = to_json(event.ports);
  }
  if (!event.lease.empty()) {
    object["lease"] = event.lease;
    object["via"] = event.via;
    object["alias"] = kAlias;
    object["gateway"] = event.gateway;
    add_place(object, event.via, event.interface);
  }
  if (!event.reason.empty()) object["reason"] = event.reason;
  if (!event.hint.empty()) object["hint"] = event.hint;
  return object;
}

std::string to_line(const WatchEvent& event) {
  const auto why = event.hint.empty() ? event.reason : fmt::format("{}; {}", event.reason, event.hint);
  switch (event.kind) {
    case Kind::watching:
      return fmt::format("watching the containers of {}", event.engine);
    case Kind::exposed:
      return fmt::format("{}: exposed {} as {} ({}), lease {} by {}", event.name, ports_text(event.ports),
                         kAlias, event.gateway, event.lease, event.via);
    case Kind::released:
      return fmt::format("{}: released lease {}: {}", event.name, event.lease, why);
    case Kind::refused:
      return fmt::format("{}: refused: {}", event.name, why);
    case Kind::failed:
      return fmt::format("{}: failed: {}", event.name, why);
    case Kind::engine_lost:
      return fmt::format("engine lost: {}", why);
    case Kind::engine_back:
      return fmt::format("engine back: {}", event.engine);
    case Kind::unknown_label:
      return fmt::format("{}: {}", event.name, why);
  }
  return {};
}

void tell(const WatchEvent& event, const Globals& globals) {
  const bool refused = event.kind == Kind::refused;
  // Refusals always go to standard error, so that the operator sees them even if a program reads the events.
  if (refused)
    print_error(
        Error(Errc::not_authorised, fmt::format("{}: refused: {}", event.name, event.reason), event.hint));
  if (globals.json) {
    print_json(object_of(event));
  } else if (!refused) {
    print(to_line(event));
  }
}

int dry_run(Watcher& watcher, const Globals& globals) {
  for (const auto& wanted : watcher.survey()) {
    if (globals.json) {
      const bool refused = !wanted.refused.empty();
      json::Value object{{"event", refused        ? "would-refuse"
                                   : wanted.fault ? "failed"
                                                  : "would-expose"},
                         {"container", wanted.name},
                         {"container_id", wanted.id.substr(0, 12)},
                         {"ports", to_json(refused ? wanted.refused : wanted.ports)}};
      if (wanted.fault) object["reason"] = wanted.fault->what();
      print_json(std::move(object));
    } else {
      print(wanted.fault ? fmt::format("{}: {}", wanted.name, wanted.fault->what())
                         : fmt::format("{}: would expose {} by {}", wanted.name, ports_text(wanted.ports),
                                       exposer::order_text(wanted.via)));
    }
  }
  return 0;
}

int watch(const WatchOptions& options, const Globals& globals) {
  const auto order = options.request.order();
  if (globals.explain) explain(order, globals);
  demote_ends();  // they come as events
  allow_many_descriptors();
  EventLoop loop;
  std::exception_ptr unheard;
  Watcher::Settings settings;
  settings.exposer = exposer_options(globals);
  settings.order = order;
  settings.exposer.firewall = options.request.wanted_firewall();
  settings.trust_images = options.trust_images;
  settings.allowance = exposer::Allowance::parse(options.allow, options.allow_socket);
  settings.on_event = [&](const WatchEvent& event) {
    try {
      tell(event, globals);
    } catch (const Error&) {
      unheard = std::current_exception();
      loop.stop();
    }
  };
  Watcher watcher(loop, std::move(settings));
  if (globals.dry_run) return dry_run(watcher, globals);
  const auto signals = stop_signals();
  loop.add(signals.get(), EPOLLIN, [&](std::uint32_t) { loop.stop(); });
  watcher.start();
  loop.run();
  const auto end = watcher.finish();
  if (end.stuck) {
    print_error(Error(Errc::timed_out, "some leases were not released in time",
                      "run tc-hostnet list, which removes what is left"));
    // A normal exit would join the stuck thread.
    ::_exit(1);
  }
  if (unheard) std::rethrow_exception(unheard);
  return end.failures == 0 ? 0 : 1;
}

}  // namespace

Action define_watch(Arguments& arguments) {
  const auto options = std::make_shared<WatchOptions>();
  options->request.define_way(arguments);
  arguments.flag("--trust-images", options->trust_images,
                 "also follow labels that a container has from its image");
  arguments.values(
      "--allow PORTS", options->allow, "TC_HOSTNET_WATCH_ALLOW",
      "host ports that labels may ask for, as 3000-3999,5432/tcp,127.0.0.2:80; default 1024-65535");
  arguments.values("--allow-socket PATH", options->allow_socket, "TC_HOSTNET_WATCH_ALLOW_SOCKET",
                   "path of a Unix socket that labels may ask for; default none");
  arguments.footer(
      R"(Containers with the label io.github.tchostnet.ports=8080,5432:15432 (ports as for `expose`) reach these ports while
they run, including containers that already run. The label io.github.tchostnet.via=PATH chooses the path, or as
PATH,PATH the order, for one container. Prints one line per event, with --json one object: watching, exposed, released, failed, unknown-label,
engine-lost, engine-back. Refuses a label that asks for more than --allow and --allow-socket permit: prints one line on standard
error, and with --json also an event. Both options can be repeated and accept commas. Ctrl-C or SIGTERM releases
everything and ends it.)");
  arguments.example("sudo tc-hostnet watch");
  arguments.example("docker run -d --label io.github.tchostnet.ports=8080 IMAGE");
  return [options](const Globals& globals) { return watch(*options, globals); };
}

}  // namespace hostnet::cli
