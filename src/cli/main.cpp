// The tc-hostnet command: the table of subcommands, the global options, and the one place that turns an error
// into a line and an exit code.
#include "cli/command.hpp"
#include "cli/exit_code.hpp"
#include "cli/output.hpp"
#include "hostnet/error.hpp"
#include "hostnet/version.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>

namespace hostnet::cli {
namespace {

constexpr std::array kCommands{
    Command{"expose", "make ports of 127.0.0.1 reachable from containers", define_expose},
    Command{"run", "run a command in a network namespace of its own that reaches the ports", define_run},
    Command{"watch", "expose to containers what their labels ask for, while they run", define_watch},
    Command{"list", "show the leases", define_list},
    Command{"inspect", "show one lease in full, and whether the kernel has its rules", define_inspect},
    Command{"release", "release leases and remove everything that belongs to them", define_release},
    Command{"status", "show what is in effect on this host", define_status},
    Command{"doctor", "find out why something does not work, and how to fix it", define_doctor},
};

constexpr const char* kFooter = R"(Containers reach the host as host.testcontainers.internal.

Exit codes: 0 ok, 1 failure, 2 usage, 3 no usable path, 4 not authorised, 5 needs interaction,
6 not found, 7 not listening, 8 conflict or quota; `run` gives the command's own, or 125, 126, 127.

See also: tc-hostnet COMMAND --help, man tc-hostnet)";

// Implements Arguments with CLI11. Only this file includes CLI11, which costs seconds of compile time per
// file.
class Cli11Arguments final : public Arguments {
 public:
  explicit Cli11Arguments(CLI::App& app) : app_(app) {}

  void flag(const char* name, bool& into, const char* help) override { app_.add_flag(name, into, help); }
  void value(const char* name, std::string& into, const char* help, Need need) override {
    app_.add_option(name, into, help)->required(need == Need::required);
  }
  void values(const char* name, std::vector<std::string>& into, const char* help, Need need) override {
    auto* const option = app_.add_option(name, into, help)->required(need == Need::required);
    if (name[0] == '-') option->allow_extra_args(false);
  }
  void values(const char* name, std::vector<std::string>& into, const char* environment,
              const char* help) override {
    app_.add_option(name, into, help)->allow_extra_args(false)->envname(environment);
  }
  void choice(const char* name, std::string& into, const std::vector<std::string>& allowed,
              const char* environment, const char* help) override {
    app_.add_option(name, into, help)->check(CLI::IsMember(allowed))->envname(environment);
  }
  void footer(const char* text) override { app_.footer(text); }

 private:
  CLI::App& app_;
};

void add_globals(CLI::App& app, Globals& globals) {
  app.add_flag("--json", globals.json, "print data as JSON, \"schema\": 1, one object per line");
  app.add_flag("-q,--quiet", globals.quiet, "print only errors to standard error");
  app.add_flag("-v,--verbose", globals.verbose, "report each step");
  app.add_flag("--dry-run", globals.dry_run, "print the plan and change nothing");
  app.add_flag("--explain", globals.explain, "report which path is used, and why the others are not");
  app.add_flag("--no-ask-password", globals.no_ask_password, "do not let the helper ask for a password");
  app.add_option("--color", globals.color, "colour the output: auto, always or never")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->envname("TC_HOSTNET_COLOR");
  app.add_option("--engine", globals.engine,
                 "the container engine, unix:///run/docker.sock or tcp://HOST:PORT")
      ->envname("TC_HOSTNET_ENGINE");
  app.add_option("--runtime-dir", globals.runtime_dir,
                 "the state folder of the leases (default /run/tc-hostnet)")
      ->envname("TC_HOSTNET_RUNTIME_DIR");
}

int report(const Error& error) {
  print_error(error);
  return exit_code(error.code());
}

int run_command(int argc, char** argv) {
  CLI::App app(
      "Makes services on this host's 127.0.0.1 reachable from containers, as host.testcontainers.internal.",
      "tc-hostnet");
  app.footer(kFooter);
  app.set_version_flag("--version", std::string("tc-hostnet ") + version());
  app.require_subcommand(1);
  app.fallthrough();
  Globals globals;
  add_globals(app, globals);
  Action action;
  for (const auto& command : kCommands) {
    auto* const sub = app.add_subcommand(command.name, command.summary);
    // Builds only the options of the named subcommand, to keep a cold start fast.
    if (argc > 1 && std::none_of(argv + 1, argv + argc,
                                 [&](const char* word) { return std::string_view(word) == command.name; }))
      continue;
    sub->fallthrough();
    Cli11Arguments arguments(*sub);
    auto work = command.define(arguments);
    sub->callback([&action, work = std::move(work)] { action = work; });
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForAllHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& version) {
    return app.exit(version);
  } catch (const CLI::ParseError& error) {
    return report(Error(Errc::invalid_argument, error.what(), "see: tc-hostnet --help"));
  }
  set_up_output(globals);
  return action(globals);
}

}  // namespace
}  // namespace hostnet::cli

int main(int argc, char** argv) {
  using namespace hostnet;
  std::signal(SIGCHLD, SIG_DFL);  // the parent may have ignored it: then no child has an exit status
  try {
    return cli::run_command(argc, argv);
  } catch (const Error& error) {
    return cli::report(error);
  } catch (const std::exception& error) {
    return cli::report(Error(Errc::failure, error.what()));
  }
}
