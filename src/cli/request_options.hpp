// The options by which `expose` and its kin say what is wanted.
#pragma once

#include "cli/command.hpp"
#include "hostnet/exposer.hpp"
#include "path/path.hpp"

#include <optional>
#include <string>
#include <vector>

namespace hostnet::cli {

/// What stands on the command line, checked only for its form until to_request().
struct RequestOptions {
  std::vector<std::string> ports;
  std::string network;
  std::string container;
  std::string bridge;
  std::string netns;
  std::string via = "auto";
  std::string firewall = "auto";
  std::string label;
  std::string timeout;
  bool no_alias = false;
  bool require_listener = false;
  bool force = false;

  void define(Arguments& arguments);
  /// The options --via and --firewall alone.
  void define_way(Arguments& arguments);
  /// @throws Error{invalid_argument}
  [[nodiscard]] ExposeRequest to_request() const;
  /// nullptr for "auto".
  [[nodiscard]] const exposer::PathDriver* path() const;
  [[nodiscard]] Firewall wanted_firewall() const;
};

/// "90", "90s", "15m", "2h" as seconds, at least 1 and at most 30 days. @throws Error{invalid_argument}
std::chrono::seconds parse_span(std::string_view text);

/// Ports given as words, each possibly with commas. @throws Error{invalid_argument}
std::vector<HostPort> parse_ports(const std::vector<std::string>& words);

/// Raises the soft limit of open files to the hard one: on the ssh path each connection takes a descriptor,
/// and the usual soft limit is 1,024.
void allow_many_descriptors();

/// Of no path yet.
ExposerOptions exposer_options(const Globals& globals);

/// --firewall, as every command that makes a lease has it.
void define_firewall(Arguments& arguments, std::string& into);

/// Says which path is taken and why not the others, on standard error. nullptr: automatic.
void explain(const exposer::PathDriver* wanted, const Globals& globals);

}  // namespace hostnet::cli
