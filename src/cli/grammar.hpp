// The command line as data: commands, options and their words. What is wrong with a command line (usage.hpp) and
// the text of --help (help.hpp) are made from it; main.cpp gives the same declarations to the parser.
#pragma once

#include "cli/command.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hostnet::cli {

struct OptionForm {
  std::vector<std::string> names;  ///< "-p", "--port"; for an argument by its place one without dashes
  std::string metavar;             ///< "NAME"; empty for a flag
  std::string help;
  std::string environment;
  std::vector<std::string> choices;
  bool in_order =
      false;  ///< The value names paths in order: one of the choices, or several with commas between.
  bool required = false;
  bool repeatable = false;
  bool takes_rest = false;  ///< From the first such argument on, every word belongs to it.

  [[nodiscard]] bool is_positional() const { return !names.front().starts_with('-'); }
  /// The name to use in a message: the last, which is the long one.
  [[nodiscard]] const std::string& name() const { return names.back(); }
};

struct CommandForm {
  std::string name;
  std::string form;  ///< What follows the name in the usage line.
  std::string summary;
  std::vector<OptionForm> options;
  std::string footer;
  std::vector<std::string> examples;
};

struct Grammar {
  std::string summary;
  std::vector<OptionForm> globals;
  std::vector<CommandForm> commands;

  [[nodiscard]] const CommandForm* command(std::string_view name) const;
};

/// Splits what a declaration names: "-p,--port PORT" is -p and --port, which take a PORT. Without a second word
/// an argument by its place is its own metavariable.
OptionForm form_of(std::string_view declaration);

/// Records declarations; the values that they would set are not touched.
class Recorder final : public Arguments {
 public:
  Recorder(std::vector<OptionForm>& options, CommandForm* command) : options_(options), command_(command) {}

  void flag(const char* name, bool& into, const char* help) override;
  void value(const char* name, std::string& into, const char* help, Need need) override;
  void values(const char* name, std::vector<std::string>& into, const char* help, Need need) override;
  void values(const char* name, std::vector<std::string>& into, const char* environment,
              const char* help) override;
  void rest(const char* name, std::vector<std::string>& into, const char* help) override;
  void choice(const char* name, std::string& into, const std::vector<std::string>& allowed,
              const char* environment, const char* help) override;
  void order(const char* name, std::string& into, const std::vector<std::string>& allowed,
             const char* environment, const char* help) override;
  void value_or(const char* name, std::string& into, const char* environment, const char* help) override;
  void footer(const char* text) override;
  void example(const char* line) override;

 private:
  OptionForm& add(const char* declaration, const char* help);

  std::vector<OptionForm>& options_;
  CommandForm* command_;  // null for the global options
};

}  // namespace hostnet::cli
