// What every subcommand is made of. The table that names them all is in main.cpp.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace hostnet::cli {

/// The options that stand before or after any subcommand.
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

/// The options of one subcommand, to be declared. What they are read into must live until the Action has run.
class Arguments {
 public:
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;
  virtual void flag(const char* name, bool& into, const char* help) = 0;
  virtual void value(const char* name, std::string& into, const char* help, Need need = Need::optional) = 0;
  /// One word each time the option is given; a positional one takes all words.
  virtual void values(const char* name, std::vector<std::string>& into, const char* help,
                      Need need = Need::optional) = 0;
  /// The same, optional; where it is not given, the word in an environment variable, if that has one.
  virtual void values(const char* name, std::vector<std::string>& into, const char* environment,
                      const char* help) = 0;
  /// One of `allowed`, also by an environment variable.
  virtual void choice(const char* name, std::string& into, const std::vector<std::string>& allowed,
                      const char* environment, const char* help) = 0;
  /// Stands under the subcommand's --help.
  virtual void footer(const char* text) = 0;

 protected:
  Arguments() = default;
  ~Arguments() = default;
};

/// Does the work after the command line has been read; returns the exit code, or throws Error.
using Action = std::function<int(const Globals&)>;

struct Command {
  const char* name;
  const char* summary;
  /// Adds the subcommand's own options and returns what to do.
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
