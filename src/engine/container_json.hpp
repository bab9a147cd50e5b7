// The JSON of the container calls: request bodies from descriptions, values from answers. Pure functions.
#pragma once

#include "engine/containers.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hostnet::engine {

/// The body of POST /containers/create, without the name. @throws Error{invalid_argument} without an image,
/// for port 0, for network aliases or a MAC address without a network, and for text that is not UTF-8.
std::string create_request(const ContainerSpec& spec);

/// The body of POST /containers/ID/exec. @throws Error{invalid_argument} without a command, and for text that
/// is not UTF-8.
std::string exec_request(const ExecSpec& spec);

/// The `filters` parameter for containers with all of these labels, not yet percent-encoded.
/// @throws Error{invalid_argument} for text that is not UTF-8.
std::string label_filter(const std::vector<std::string>& labels);

/// The body of POST /networks/create for a bridge network. @throws Error{invalid_argument} without a name,
/// and for text that is not UTF-8.
std::string network_request(const std::string& name, const std::map<std::string, std::string>& labels);

/// The body of POST /networks/ID/connect.
std::string connect_request(std::string_view container);

/// State of a command in a container.
struct ExecState {
  bool running = false;
  int exit_code = 0;  ///< 0 while it runs.
};

/// These throw only Error{engine_error} with the path of the offending field, and Error{timed_out} at the
/// deadline. parse_exit_code() also throws engine_error with the engine's message when the wait failed.
std::string parse_id(std::string_view json, Deadline deadline = Deadline::never());
std::vector<ContainerSummary> parse_container_list(std::string_view json,
                                                   Deadline deadline = Deadline::never());
ExecState parse_exec_state(std::string_view json, Deadline deadline = Deadline::never());
int parse_exit_code(std::string_view json, Deadline deadline = Deadline::never());

}  // namespace hostnet::engine
