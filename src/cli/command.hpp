// The parts of a subcommand. main.cpp has the table of all subcommands.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace hostnet::cli {

/// Options that every subcommand accepts, before or after its name.
struct Globals {
  bool json = false;
  bool quiet = false;
  bool verbose = false;
  bool dry_run = false;
  bool explain = false;
  bool no_ask_password = false;
  std::string color = "auto";
  std::string engine;
  std::string runtime_dir;
  std::string config;  // cli/config.hpp reads it from the words
  bool no_config = false;
};

enum class Need { optional, required };

/// Declares options. Each `into` must outlive the run of the Action. A name is "--network NAME" or
/// "-p,--port PORT": the words of the option, and what --help calls its value; "LEASE" is an argument by its place.
class Arguments {
 public:
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;
  virtual void flag(const char* name, bool& into, const char* help) = 0;
  virtual void value(const char* name, std::string& into, const char* help, Need need = Need::optional) = 0;
  /// Takes one word per use of the option; a positional argument takes all words.
  virtual void values(const char* name, std::vector<std::string>& into, const char* help,
                      Need need = Need::optional) = 0;
  /// The same, optional. Without the option, reads the word from the environment variable if that is set.
  virtual void values(const char* name, std::vector<std::string>& into, const char* environment,
                      const char* help) = 0;
  /// One value, which the environment variable can also set.
  virtual void value_or(const char* name, std::string& into, const char* environment, const char* help) = 0;
  /// All words from the first argument on, options too: a command with its own options.
  virtual void rest(const char* name, std::vector<std::string>& into, const char* help) = 0;
  /// One of `allowed`; the environment variable can also set it.
  virtual void choice(const char* name, std::string& into, const std::vector<std::string>& allowed,
                      const char* environment, const char* help) = 0;
  /// One of `allowed`, or several with commas between; the environment variable can also set it.
  virtual void order(const char* name, std::string& into, const std::vector<std::string>& allowed,
                     const char* environment, const char* help) = 0;
  /// Text below the options in the subcommand's --help: paragraphs, which are filled to the width.
  virtual void footer(const char* text) = 0;
  /// A command line that shows the subcommand in use.
  virtual void example(const char* line) = 0;

 protected:
  Arguments() = default;
  ~Arguments() = default;
};

/// Does the work once the command line is parsed. Returns the exit code. @throws Error.
using Action = std::function<int(const Globals&)>;

struct Command {
  const char* name;
  const char* form;  ///< What follows the name in the usage line.
  const char* summary;
  /// Declares the subcommand's own options. Returns the work to do.
  Action (*define)(Arguments& arguments);
};

Action define_expose(Arguments& arguments);
Action define_run(Arguments& arguments);
Action define_release(Arguments& arguments);
Action define_list(Arguments& arguments);
Action define_inspect(Arguments& arguments);
Action define_status(Arguments& arguments);
Action define_doctor(Arguments& arguments);
Action define_watch(Arguments& arguments);
Action define_completion(Arguments& arguments);
Action define_help(Arguments& arguments);
Action define_version(Arguments& arguments);

}  // namespace hostnet::cli
