// tc-hostnetd: the helper for users other than root. Reads its configuration and serves the system bus.
#include "core/duration.hpp"
#include "core/log.hpp"
#include "core/printable.hpp"
#include "core/standard_descriptors.hpp"
#include "daemon/bus_address.hpp"
#include "daemon/confinement.hpp"
#include "daemon/decision_log.hpp"
#include "daemon/loop.hpp"
#include "hostnet/error.hpp"
#include "hostnet/log.hpp"
#include "hostnet/version.hpp"
#include "path/native/lease_store.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>

namespace hostnet::daemon {
namespace {

int priority_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return LOG_DEBUG;
    case LogLevel::info:
      return LOG_INFO;
    case LogLevel::warning:
      return LOG_WARNING;
    case LogLevel::error:
      return LOG_ERR;
  }
  return LOG_ERR;
}

// Logs to the journal when standard error leads there, else to standard error.
void set_up_log(bool verbose) {
  const bool to_journal = logs_to_journal();
  set_log_sink([=](LogLevel level, std::string_view line) {
    if (level == LogLevel::debug && !verbose) return;
    if (to_journal) {
      ::sd_journal_send("MESSAGE=%.*s", static_cast<int>(line.size()), line.data(), "PRIORITY=%d",
                        priority_of(level), nullptr);
    } else {
      fmt::print(stderr, "tc-hostnetd: {}\n", line);
    }
  });
}

// The unit runs this after every end of the daemon. It finishes the leases of dead owners.
void flush_stale(const Config& config) {
  exposer::LeaseStore store(state::runtime_dir(config.runtime_dir));
  auto transaction = store.begin(Deadline::after(std::chrono::seconds{30}));
  transaction.reap();
  transaction.tidy();
}

std::chrono::seconds idle_timeout(const std::string& text) {
  using namespace std::chrono_literals;
  return std::chrono::ceil<std::chrono::seconds>(parse_duration(text, 0s, 24h));
}

// What is wrong with the text; empty if nothing.
std::string idle_fault(const std::string& text) {
  try {
    idle_timeout(text);
    return {};
  } catch (const Error& error) {
    return fmt::format("{}; {}", error.what(), error.hint());
  }
}

int run(int argc, char** argv) {
  Config config;
  bool verbose = false;
  bool flush = false;
  std::string firewall = "auto";
  auto idle = std::to_string(config.idle_timeout.count());
  CLI::App app(
      "Exposes ports of 127.0.0.1 to containers for users authorised by polkit, on D-Bus: "
      "io.github.tchostnet.HostNet1",
      "tc-hostnetd");
  app.set_version_flag("--version", version());
  app.set_config("--config", kConfigFile, "file of options, one per line: idle-timeout=30");
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.add_option("--allow-interface", config.allow_interface,
                 "patterns of bridges to which users may expose ports")
      ->capture_default_str();
  app.add_option("--leases-per-user", config.limits.leases_per_uid, "maximum of leases per user")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--ports-per-user", config.limits.ports_per_uid, "maximum of ports per user")
      ->check(CLI::Range(1, 65535))
      ->capture_default_str();
  app.add_option("--leases", config.limits.leases, "maximum of leases of all users together")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  app.add_option("--prompts-per-user", config.limits.prompts_per_uid,
                 "maximum of requests per user that wait for authentication")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--idle-timeout", idle,
                 "exit after this time without a lease, as 30 (seconds) or 5m; 0: never")
      ->check(idle_fault, "DURATION")
      ->capture_default_str();
  app.add_option("--runtime-dir", config.runtime_dir, "folder of the lease store (default /run/tc-hostnet)");
  app.add_option("--firewall", firewall, "firewall for the rules: auto, nftables or iptables")
      ->check(CLI::IsMember({"auto", "nftables", "iptables"}))
      ->capture_default_str();
  app.add_flag("--flush-stale", flush, "remove the leases of dead owners and exit");
  app.add_flag("-v,--verbose", verbose, "log each step");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "tc-hostnetd: {}; see tc-hostnetd --help\n", printable(error.what()));
    return 2;
  }
  config.idle_timeout = idle_timeout(idle);
  config.firewall = firewall::parse_firewall(firewall).value_or(Firewall::automatic);
  set_up_log(verbose);
  confine();
  forget_bus_guid();
  if (flush)
    flush_stale(config);
  else
    serve(config);
  return 0;
}

}  // namespace
}  // namespace hostnet::daemon

int main(int argc, char** argv) {
  hostnet::open_standard_descriptors();
  try {
    return hostnet::daemon::run(argc, argv);
  } catch (const std::exception& error) {
    hostnet::log::error("{}", error.what());
    return 1;
  }
}
