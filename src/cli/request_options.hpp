// The options of `expose`, `run` and `watch` that describe a request.
#pragma once

#include "cli/command.hpp"
#include "hostnet/exposer.hpp"
#include "path/paths.hpp"

#include <optional>
#include <string>
#include <vector>

namespace hostnet::cli {

/// Options as given on the command line. to_request() validates them.
struct RequestOptions {
  std::vector<std::string> ports;
  std::string network;
  std::string container;
  std::string bridge;
  std::string netns;
  std::string project;
  std::string via = "auto";
  std::string firewall = "auto";
  std::string label;
  std::string timeout;
  bool no_alias = false;
  bool require_listener = false;
  bool force = false;

  void define(Arguments& arguments);
  /// Declares only --via and --firewall.
  void define_way(Arguments& arguments);
  /// One request, or one for each network of the project. @throws Error: invalid_argument; for a project, what its
  /// engine gives.
  [[nodiscard]] std::vector<ExposeRequest> to_requests(const Globals& globals) const;
  /// Empty for "auto".
  [[nodiscard]] exposer::PathOrder order() const;
  [[nodiscard]] Firewall wanted_firewall() const;
};

/// A duration (core/duration.hpp) from 1 s to 30 days, rounded up to whole seconds.
/// @throws Error{invalid_argument}
std::chrono::seconds parse_span(std::string_view text);

/// Parses ports from words; a word may hold several, separated by commas. @throws Error{invalid_argument}
std::vector<HostPort> parse_ports(const std::vector<std::string>& words);

/// Raises the soft limit of open files to the hard limit: the ssh path needs a descriptor per connection, and
/// the usual soft limit is 1,024.
void allow_many_descriptors();

/// Of no path yet.
ExposerOptions exposer_options(const Globals& globals);

/// Declares --firewall, for every command that creates a lease.
void define_firewall(Arguments& arguments, std::string& into);

/// Declares --via, for every command that creates a lease.
void define_via(Arguments& arguments, std::string& into);

/// Reports on standard error which path is used and why the others are not. Empty: automatic.
void explain(const exposer::PathOrder& wanted, const Globals& globals);

}  // namespace hostnet::cli
