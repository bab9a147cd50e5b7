// The parsers behind Client, apart from the requests so that any text can be thrown at them.
#pragma once

#include "engine/client.hpp"
#include "engine/json_reader.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::engine {

/// All but the last three throw Error{engine_error} with the path of the offending field, Error{timed_out} at
/// the deadline, and nothing else.
Version parse_version(std::string_view json, Deadline deadline = Deadline::never());
Network parse_network(std::string_view json, Deadline deadline = Deadline::never());
std::vector<Network> parse_networks(std::string_view json, Deadline deadline = Deadline::never());
Container parse_container(std::string_view json, Deadline deadline = Deadline::never());
/// The labels of an image, from GET /images/ID/json.
std::map<std::string, std::string> parse_image_labels(std::string_view json,
                                                      Deadline deadline = Deadline::never());

/// From GET /info, whose security options have "name=rootless" then.
bool parse_is_rootless(std::string_view json, Deadline deadline = Deadline::never());

/// What Podman's compatible answers do not have of a bridge network.
struct LibpodBridge {
  std::string interface;
  bool dns = false;

  bool operator==(const LibpodBridge&) const = default;
};

/// Network id → that, from one network or the list of them as Podman's own ("libpod") API describes them.
std::map<std::string, LibpodBridge> parse_libpod_bridges(std::string_view json,
                                                         Deadline deadline = Deadline::never());

/// A string that looks_like_id(). @throws Error{engine_error} for any other value.
std::string id_of(const JsonReader& value);

/// The "message" of an error body, or the body itself where it is not such JSON; one line, at most 400 bytes
/// and "…".
std::string parse_error_message(std::string_view body);

/// The "cause" that Podman puts into an error body, a text of its own for each kind of failure; empty where
/// there is none.
std::string parse_error_cause(std::string_view body);

/// An engine's or a container's words as they may be shown: trimmed, cut after `limit` bytes (with "…"), line
/// ends and tabs as blanks, and the rest printable() (core/printable.hpp).
std::string one_line(std::string_view text, std::size_t limit);

}  // namespace hostnet::engine
