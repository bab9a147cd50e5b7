// The table of subcommands, the options of all of them, and the two subcommands that only describe the command.
#include "cli/commands.hpp"

#include "cli/help.hpp"
#include "cli/layout.hpp"
#include "cli/output.hpp"
#include "cli/usage.hpp"
#include "cli/versions.hpp"
#include "core/strings.hpp"
#include "hostnet/version.hpp"
#include "path/paths.hpp"

#include <fmt/format.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hostnet::cli {
namespace {

constexpr std::array kCommands{
    Command{"expose", "PORT... {--network | --container | --project | --bridge | --netns} NAME [OPTION]...",
            "make ports of 127.0.0.1 reachable from containers", define_expose},
    Command{"run", "-p PORT [OPTION]... [--] COMMAND [WORD]...",
            "run a command in a network namespace of its own that reaches the ports", define_run},
    Command{"watch", "[OPTION]...", "expose to containers what their labels ask for, while they run",
            define_watch},
    Command{"list", "[OPTION]...", "show the leases", define_list},
    Command{"inspect", "LEASE [OPTION]...", "show one lease in full, and whether the kernel has its rules",
            define_inspect},
    Command{"release", "{LEASE... | --all} [OPTION]...",
            "release leases and remove everything that belongs to them", define_release},
    Command{"status", "[OPTION]...", "show what is in effect on this host", define_status},
    Command{"doctor", "[PORT...] [--network | --container | --bridge NAME] [OPTION]...",
            "find out why something does not work, and how to fix it", define_doctor},
    Command{"completion", "{bash | zsh | fish}", "print the script that completes words in a shell",
            define_completion},
    Command{"help", "[COMMAND]", "show how a command is used", define_help},
    Command{"version", "", "show the version, and those of the libraries", define_version},
};

constexpr const char* kSummary =
    "Makes services on this host's 127.0.0.1 reachable from containers, as host.testcontainers.internal.";

std::vector<std::string> path_names() {
  std::vector<std::string> names;
  for (const auto* const path : exposer::paths()) names.emplace_back(path->name);
  return names;
}

std::vector<std::string> firewall_names() {
  return {to_string(Firewall::nftables), to_string(Firewall::iptables)};
}

json::Value versions_to_json() {
  auto libraries = json::array();
  for (const auto& library : library_versions()) {
    const auto or_null = [](const std::string& text) {
      return text.empty() ? std::nullopt : std::optional(text);
    };
    libraries.push_back({{"name", library.name},
                         {"use", library.use},
                         {"version", or_null(library.version)},
                         {"file", or_null(library.file)}});
  }
  return {{"version", version()},
          {"commit", commit().empty() ? std::nullopt : std::optional(std::string(commit()))},
          {"paths", path_names()},
          {"firewalls", firewall_names()},
          {"libraries", std::move(libraries)}};
}

void print_versions() {
  print(commit().empty() ? fmt::format("tc-hostnet {}", version())
                         : fmt::format("tc-hostnet {} (commit {})", version(), commit()));
  std::vector<Row> rows{{"paths", list_of(path_names())}, {"firewalls", list_of(firewall_names())}};
  for (const auto& library : library_versions()) {
    auto shown = library.version;
    if (shown.empty()) shown = library.file.substr(library.file.rfind('/') + 1);
    if (shown.empty()) shown = "not installed";
    rows.push_back({library.name, fmt::format("{} ({})", shown, library.use)});
  }
  print(pairs(rows, output_width()));
}

}  // namespace

int print_help(const Grammar& grammar, const CommandForm* command, const Globals& globals) {
  if (globals.json)
    print_json(help_to_json(grammar, command));
  else
    print(help_text(grammar, command, output_width()));
  return 0;
}

int print_version(const Globals& globals) {
  if (globals.json)
    print_json(versions_to_json());
  else
    print_versions();
  return 0;
}

std::span<const Command> commands() { return kCommands; }

void add_globals(Arguments& arguments, Globals& globals) {
  arguments.flag("--json", globals.json, "print data as JSON, \"schema\": 1, one object per line");
  arguments.flag("-q,--quiet", globals.quiet, "print only errors to standard error");
  arguments.flag("-v,--verbose", globals.verbose, "report each step");
  arguments.flag("--dry-run", globals.dry_run, "print the plan and change nothing");
  arguments.flag("--explain", globals.explain, "report which path is used, and why the others are not");
  arguments.flag("--no-ask-password", globals.no_ask_password, "do not let the helper ask for a password");
  arguments.choice("--color WHEN", globals.color, {"auto", "always", "never"}, "TC_HOSTNET_COLOR",
                   "colour the output: auto, always or never");
  arguments.value_or("--engine ADDRESS", globals.engine, "TC_HOSTNET_ENGINE",
                     "the container engine, unix:///run/docker.sock or tcp://HOST:PORT");
  arguments.value_or("--runtime-dir DIR", globals.runtime_dir, "TC_HOSTNET_RUNTIME_DIR",
                     "the state folder of the leases (default /run/tc-hostnet)");
  arguments.value("--config FILE", globals.config,
                  "defaults of options, instead of the user's tc-hostnet.conf and that in /etc");
  arguments.flag("--no-config", globals.no_config, "read no file with defaults");
}

Grammar make_grammar() {
  Grammar grammar{.summary = kSummary, .globals = {}, .commands = {}};
  Globals unused;
  Recorder globals(grammar.globals, nullptr);
  add_globals(globals, unused);
  grammar.globals.push_back(form_of("-V,--version"));
  grammar.globals.back().help = "print the version";
  grammar.globals.push_back(form_of("-h,--help"));
  grammar.globals.back().help = "print this help";
  for (auto& form : grammar.globals)
    if (form.metavar.empty()) form.repeatable = true;
  for (const auto& command : kCommands) {
    grammar.commands.push_back({.name = command.name,
                                .form = command.form,
                                .summary = command.summary,
                                .options = {},
                                .footer = {},
                                .examples = {}});
    auto& form = grammar.commands.back();
    Recorder recorder(form.options, &form);
    [[maybe_unused]] const auto work = command.define(recorder);
  }
  return grammar;
}

Action define_help(Arguments& arguments) {
  const auto name = std::make_shared<std::string>();
  arguments.value("COMMAND", *name, "the command to explain; without it, all of them in short");
  arguments.example("tc-hostnet help expose");
  return [name](const Globals& globals) {
    const auto grammar = make_grammar();
    const auto* const command = grammar.command(*name);
    if (command == nullptr && !name->empty()) throw unknown_command(*name, grammar);
    return print_help(grammar, command, globals);
  };
}

Action define_version(Arguments& arguments) {
  arguments.example("tc-hostnet version");
  return print_version;
}

}  // namespace hostnet::cli
