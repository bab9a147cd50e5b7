// The tc-hostnet command: parses the command line, acts, and is the one place that turns an error into a line
// and an exit code. commands.cpp has the table of subcommands.
#include "cli/commands.hpp"
#include "cli/completion.hpp"
#include "cli/config.hpp"
#include "cli/exit_code.hpp"
#include "cli/output.hpp"
#include "cli/usage.hpp"
#include "core/standard_descriptors.hpp"
#include "hostnet/error.hpp"
#include "hostnet/version.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <optional>
#include <sstream>
#include <utility>

namespace hostnet::cli {
namespace {

constexpr int kRunFailed = 125;
constexpr std::string_view kCompletes = "__complete";  // no command for people: completion.hpp

// Implements Arguments with CLI11. Only this file includes CLI11, which costs seconds of compile time per
// file.
class Cli11Arguments final : public Arguments {
 public:
  explicit Cli11Arguments(CLI::App& app) : app_(app) {}

  void flag(const char* name, bool& into, const char* help) override {
    app_.add_flag(names(name), into, help)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }
  void value(const char* name, std::string& into, const char* help, Need need) override {
    app_.add_option(names(name), into, help)->required(need == Need::required);
  }
  void value_or(const char* name, std::string& into, const char* environment, const char* help) override {
    app_.add_option(names(name), into, help)->envname(environment);
  }
  void values(const char* name, std::vector<std::string>& into, const char* help, Need need) override {
    auto* const option = app_.add_option(names(name), into, help)->required(need == Need::required);
    if (name[0] == '-') option->allow_extra_args(false);
  }
  void values(const char* name, std::vector<std::string>& into, const char* environment,
              const char* help) override {
    app_.add_option(names(name), into, help)->allow_extra_args(false)->envname(environment);
  }
  void rest(const char* name, std::vector<std::string>& into, const char* help) override {
    app_.add_option(names(name), into, help);
  }
  void choice(const char* name, std::string& into, const std::vector<std::string>& allowed,
              const char* environment, const char* help) override {
    app_.add_option(names(name), into, help)->check(CLI::IsMember(allowed))->envname(environment);
  }
  // read_words() and config_words() have judged the value.
  void order(const char* name, std::string& into, const std::vector<std::string>& /*allowed*/,
             const char* environment, const char* help) override {
    value_or(name, into, environment, help);
  }
  void footer(const char* /*text*/) override {}
  void example(const char* /*line*/) override {}

 private:
  static std::string names(const char* declaration) {
    const std::string_view text(declaration);
    return std::string(text.substr(0, text.find(' ')));
  }

  CLI::App& app_;
};

int report(const Error& error, bool is_run) {
  const int code = is_run ? kRunFailed : exit_code(error.code());
  print_error(error, code);
  return code;
}

// Whether a file may give defaults: a fault in it must not keep the help from the user.
bool takes_config(const Reading& reading) {
  if (reading.command == nullptr || reading.asks_for_help) return false;
  return reading.command->name != "help" && reading.command->name != "version";
}

// Parses words in which read_words() found no fault.
int parse_and_act(const Reading& reading, const Grammar& grammar) {
  CLI::App app(grammar.summary, "tc-hostnet");
  app.set_version_flag("-V,--version", version());
  app.fallthrough();
  Globals globals;
  Cli11Arguments global_arguments(app);
  add_globals(global_arguments, globals);
  Action action;
  for (const auto& command : commands()) {
    auto* const sub = app.add_subcommand(command.name, command.summary);
    // Builds only the options of the named command, to keep a cold start fast.
    if (reading.command == nullptr || reading.command->name != command.name) continue;
    sub->fallthrough();
    Cli11Arguments arguments(*sub);
    auto work = command.define(arguments);
    sub->callback([&action, work = std::move(work)] { action = work; });
  }
  std::vector<std::string> backwards(reading.words.rbegin(),
                                     reading.words.rend());  // as the parser wants them
  try {
    app.parse(std::move(backwards));
  } catch (const CLI::CallForHelp&) {
    globals.json = reading.asks_for_json;  // the parser stops before it sets any value
    set_up_output(globals);
    return print_help(grammar, reading.command, globals);
  } catch (const CLI::CallForVersion&) {
    globals.json = reading.asks_for_json;
    return print_version(globals);
  } catch (const CLI::ParseError& error) {
    throw Error(Errc::invalid_argument, error.what(), "see: tc-hostnet --help");
  }
  set_up_output(globals);
  return action(globals);
}

std::optional<ConfigLine> read_config_line(const std::string& line) {
  std::istringstream input(line);
  for (auto& item : CLI::ConfigTOML().from_config(input))
    if (item.name != "++" && item.name != "--")
      return ConfigLine{std::move(item.parents), std::move(item.name), std::move(item.inputs)};
  return std::nullopt;
}

std::optional<std::string> variable(const std::string& name) {
  const char* const value = std::getenv(name.c_str());
  return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
}

int run_command(int argc, char** argv) {
  bool is_run = false;
  try {
    if (argc > 1 && argv[1] == kCompletes) {
      print_completion({argv + 2, argv + argc});
      return 0;
    }
    const auto grammar = make_grammar();
    auto reading = read_words({argv + std::min(argc, 1), argv + argc}, grammar, variable);
    is_run = reading.command != nullptr && reading.command->name == "run";
    Globals early;
    early.json =
        reading.asks_for_json || (reading.fault && config_asks_for_json(reading, variable, read_config_line));
    set_up_output(early);
    if (reading.fault) return report(*reading.fault, is_run);
    if (takes_config(reading)) add_config(reading, grammar, variable, read_config_line);
    return parse_and_act(reading, grammar);
  } catch (const Error& error) {
    return report(error, is_run);
  } catch (const std::exception& error) {
    return report(Error(Errc::failure, error.what()), is_run);
  }
}

}  // namespace

}  // namespace hostnet::cli

int main(int argc, char** argv) {
  hostnet::open_standard_descriptors();
  std::signal(SIGCHLD, SIG_DFL);  // the parent may have ignored it: then no child has an exit status
  return hostnet::cli::run_command(argc, argv);
}
