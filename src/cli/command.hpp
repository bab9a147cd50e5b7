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
  int verbose = 0;
  bool dry_run = false;
  bool explain = false;
  bool no_ask_password = false;
  std::string color = "auto";
  std::string engine;
  std::string runtime_dir;
};

enum class Need { optional, required };

/// Declares the options of one subcommand. Each `into` must outlive the run of the Action.
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
  /// One of `allowed`; the environment variable can also set it.
  virtual void choice(const char* name, std::string& into, const std::vector<std::string>& allowed,
                      const char* environment, const char* help) = 0;
  /// Text below the subcommand's --help.
  virtual void footer(const char* text) = 0;

 protected:
  Arguments() = default;
  ~Arguments() = default;
};

/// Does the work once the command line is parsed. Returns the exit code. @throws Error.
using Action = std::function<int(const Globals&)>;

struct Command {
  const char* name;
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

}  // namespace hostnet::cli
