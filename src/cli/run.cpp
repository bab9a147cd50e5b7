// `tc-hostnet run`: runs a command in its own network namespace, which reaches the ports and nothing else of
// the host. With --image, run_image.cpp runs it in a container.
#include "cli/command.hpp"
#include "cli/dry_run.hpp"
#include "cli/output.hpp"
#include "cli/request_options.hpp"
#include "cli/run_image.hpp"
#include "cli/stop_signals.hpp"
#include "core/fd.hpp"
#include "core/join.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"
#include "lease/checks.hpp"
#include "path/native/dry_run.hpp"
#include "path/native/holder.hpp"
#include "path/native/native.hpp"
#include "path/native/sandbox.hpp"

#include <fmt/format.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace hostnet::cli {
namespace {

using exposer::Holder;
using exposer::Sandbox;
using exposer::SandboxNet;

constexpr int kOwnFailure = 125;
// Signals that a supervisor or a terminal sends to stop a program or to notify it.
constexpr std::array kPassedOn{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH};

struct RunOptions {
  std::vector<std::string> ports;
  std::vector<std::string> command;
  std::string image;
  std::string network;
  std::string via = "auto";
  std::string firewall = "auto";
  bool interactive = false;
  bool tty = false;
};

// The command's namespace is reached by forwards alone.
std::vector<HostPort> forwarded_ports(const RunOptions& options) {
  auto ports = normalise(parse_ports(options.ports));
  for (const auto& port : ports) exposer::check_ipv4_service(port, "native path", "add --image IMAGE");
  return ports;
}

state::Lease lease_for(const SandboxNet& net, int ifindex, const RunOptions& options,
                       std::vector<HostPort> ports) {
  return {.target = "command " + options.command.front(),
          .ifindex = ifindex,
          .gateways = {net.gateway},
          .sources = {net.address},
          .ports = std::move(ports)};
}

// As expose does.
void warn_of_missing_services(const std::vector<HostPort>& ports) {
  exposer::Listeners listeners;
  check_host_ports({.target = Target::netns(""), .ports = ports}, ports, listeners, exposer::Loopback::ipv4,
                   exposer::Caller::program);
}

Firewall wanted_firewall(const RunOptions& options) {
  return firewall::parse_firewall(options.firewall).value_or(Firewall::automatic);
}

// The real interface gets its index and name on creation; the plan shows index 0 and a placeholder name.
int dry_run(const RunOptions& options, const Globals& globals) {
  netlink::Rtnl host;
  const auto net = exposer::next_net(host);
  const state::Bridge link{.ifindex = 0, .name = "tchn-XXXXXXXX"};
  auto ports = forwarded_ports(options);
  warn_of_missing_services(ports);
  auto lease = lease_for(net, link.ifindex, options, std::move(ports));
  lease.id = "dry-run";
  auto settings = exposer_options(globals);
  settings.firewall = wanted_firewall(options);
  auto plan = exposer::dry_run_of(
      {.bridges = {link}, .leases = {std::move(lease)}}, settings,
      {.first = fmt::format("make the interfaces {} with {}/{}, and in a network namespace of its "
                            "own eth0 with {}/{}",
                            link.name, net.gateway.to_string(), SandboxNet::prefix, net.address.to_string(),
                            SandboxNet::prefix),
       .last = fmt::format("run {}", join(options.command, " "))});
  return print_dry_run(std::move(plan), globals);
}

// Waits for the child without a time limit and forwards signals to it. Returns its exit code in the shell's
// form: 128 + signal number for a child that a signal ended.
int see_to_its_end(pid_t child, int signals) {
  for (;;) {
    int status = 0;
    if (::waitpid(child, &status, WNOHANG) == child)
      return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    signalfd_siginfo info{};
    if (::read(signals, &info, sizeof info) != sizeof info) continue;
    const int signal = static_cast<int>(info.ssi_signo);
    // Skips signals from the kernel: the terminal has also sent them to the child.
    if (signal != SIGCHLD && info.ssi_code != SI_KERNEL) ::kill(child, signal);
  }
}

// Those of the user's order by which a container of its own can go.
exposer::PathOrder order_for_image(const RunOptions& options) {
  auto order = exposer::parse_order(options.via);
  if (order.empty()) order.assign(exposer::paths().begin(), exposer::paths().end());
  std::erase_if(order, [](const auto* path) { return path->dry_run_ahead == nullptr; });
  return order;
}

void check_way(const RunOptions& options) {
  const auto asked = exposer::parse_order(options.via);
  const bool in_container = !order_for_image(options).empty();
  if (!options.image.empty()) {
    if (in_container) return;
    throw Error(
        Errc::invalid_argument,
        fmt::format("run --image works only on the ssh and relay paths, not by --via {}", options.via),
        "start the container with docker run, and expose to it");
  }
  if (asked.empty() || std::ranges::find(asked, &exposer::kNativePath) != asked.end()) return;
  if (in_container)
    throw Error(Errc::invalid_argument,
                fmt::format("--via {} needs --image: a command of this host goes by the native path alone",
                            options.via),
                "add --image, or leave out --via");
  throw Error(
      Errc::invalid_argument,
      fmt::format("a command of this host goes by the native path alone, not by --via {}", options.via),
      "leave out --via");
}

void check(const RunOptions& options) {
  const auto refuse = [](const char* what, const char* hint) {
    throw Error(Errc::invalid_argument, what, hint);
  };
  if (options.image.empty()) {
    if (options.command.empty()) refuse("no command is given", "tc-hostnet run -p PORT -- COMMAND");
    if (!options.network.empty()) refuse("--network needs --image", "add --image");
    if (options.interactive || options.tty)
      refuse("-i and -t need --image: without it the command has the caller's terminal", "leave them out");
  } else if (options.tty && options.interactive && ::isatty(STDIN_FILENO) == 0) {
    refuse("-t with -i needs a terminal, and standard input is none", "leave out -t");
  }
}

std::vector<Exposure> expose_to(Sandbox& sandbox, const RunOptions& options, std::vector<HostPort> ports,
                                const Globals& globals) {
  const auto deadline = Deadline::after(std::chrono::seconds{30});
  Holder::Settings settings;
  settings.runtime_dir = state::runtime_dir(globals.runtime_dir);
  settings.firewall = wanted_firewall(options);
  const auto holder = std::make_shared<Holder>(std::move(settings));
  const auto link = sandbox.connect(holder->store(), deadline);
  auto exposures = holder->hold(
      {lease_for(sandbox.net(), link.ifindex, options, std::move(ports))},
      {{.ifindex = link.ifindex, .name = link.name, .prior_route_localnet = link.route_localnet}}, deadline);
  if (globals.verbose)
    say(fmt::format("{} ({}) in a namespace of its own, lease {}", kAlias, sandbox.net().gateway.to_string(),
                    exposures.front().id()));
  return exposures;
}

int run(const RunOptions& options, const Globals& globals) {
  auto ports = forwarded_ports(options);
  warn_of_missing_services(ports);
  sigset_t watched;
  ::sigemptyset(&watched);
  ::sigaddset(&watched, SIGCHLD);
  for (const int signal : kPassedOn) ::sigaddset(&watched, signal);
  ::sigprocmask(SIG_BLOCK, &watched, nullptr);
  const Fd signals(::signalfd(-1, &watched, SFD_CLOEXEC));
  if (!signals) throw Error::from_errno("signalfd", errno);

  Sandbox sandbox;  // forks, so it comes before the first thread
  std::optional<StopSignals> stop(std::in_place, StopSignals::Phase::setting_up);
  std::vector<Exposure> exposures;
  try {
    exposures = expose_to(sandbox, options, std::move(ports), globals);
    if (!stop->stand()) throw Error(Errc::failure, "a signal came before the command ran");
  } catch (const Error&) {
    if (stop->number() == 0) throw;
    exposures.clear();  // releases
    return tell_stopped(stop->number());
  }
  stop.reset();  // the next signals are for the command
  sandbox.run(options.command);
  const int code = see_to_its_end(sandbox.pid(), signals.get());
  try {
    exposures.front().release();
  } catch (const Error& error) {
    print_error(error);  // keeps the command's own exit code
  }
  return code;
}

}  // namespace

Action define_run(Arguments& arguments) {
  const auto options = std::make_shared<RunOptions>();
  arguments.values("-p,--port PORT", options->ports,
                   "port that the command may reach, as for expose: [ADDR:]PORT[:CPORT]; repeatable",
                   Need::required);
  arguments.rest("COMMAND", options->command, "the command, and behind it the words that are its own");
  arguments.value("--image IMAGE", options->image,
                  "run it in a new container of this image, on the ssh path, else the relay path");
  arguments.value("--network NAME", options->network,
                  "the network of that container (default: the engine's default network)");
  arguments.flag("-i,--interactive", options->interactive,
                 "with --image: pass on standard input also from a terminal");
  arguments.flag("-t,--tty", options->tty, "with --image: give the command a terminal");
  define_via(arguments, options->via);
  define_firewall(arguments, options->firewall);
  arguments.footer(
      R"(The command runs as the caller in a new network namespace with its own loopback. It reaches the ports as
host.testcontainers.internal, and nothing else. The lease ends with the command. The exit code is the command's own;
125: tc-hostnet failed; 126: the command cannot be run; 127: the command does not exist.

With --image, the command (or the image's own) runs in a new container, which is removed afterwards. This needs no
privilege except access to the engine's socket. Of the paths that --via names, run takes those that can serve: native
without --image, ssh and relay with it. Standard input is passed on if it is a file or a pipe.)");
  arguments.example("sudo tc-hostnet run -p 8088 -- curl -s http://host.testcontainers.internal:8088/");
  arguments.example(
      "tc-hostnet run -p 8088 --image alpine:3.19 -- wget -qO- http://host.testcontainers.internal:8088/");
  return [options](const Globals& globals) {
    try {
      check(*options);
      check_way(*options);
      if (globals.explain)
        explain(
            options->image.empty() ? exposer::PathOrder{&exposer::kNativePath} : order_for_image(*options),
            globals);
      if (!options->image.empty())
        return run_image({.image = options->image,
                          .network = options->network,
                          .ports = parse_ports(options->ports),
                          .order = order_for_image(*options),
                          .command = options->command,
                          .interactive = options->interactive,
                          .tty = options->tty},
                         globals);
      return globals.dry_run ? dry_run(*options, globals) : run(*options, globals);
    } catch (const Error& error) {
      print_error(error, kOwnFailure);
      return kOwnFailure;
    }
  };
}

}  // namespace hostnet::cli
