// The parsers behind Client, separate from the requests so that tests can feed them any text.
#pragma once

#include "engine/client.hpp"
#include "engine/json_reader.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::engine {

/// All parsers except the last three throw only Error{engine_error} with the path of the offending field, and
/// Error{timed_out} at the deadline.
Version parse_version(std::string_view json, Deadline deadline = Deadline::never());
Network parse_network(std::string_view json, Deadline deadline = Deadline::never());
std::vector<Network> parse_networks(std::string_view json, Deadline deadline = Deadline::never());
Container parse_container(std::string_view json, Deadline deadline = Deadline::never());
/// The labels of an image, from GET /images/ID/json.
std::map<std::string, std::string> parse_image_labels(std::string_view json,
                                                      Deadline deadline = Deadline::never());

/// From GET /info: its security options have "name=rootless", or its field Rootless is true.
bool parse_is_rootless(std::string_view json, Deadline deadline = Deadline::never());
/// From GET /info: its security options have SELinux.
bool parse_has_selinux(std::string_view json, Deadline deadline = Deadline::never());

/// The properties of a bridge network that Podman's compatible answers lack.
struct LibpodBridge {
  std::string interface;
  bool dns = false;

  bool operator==(const LibpodBridge&) const = default;
};

/// Network id → properties, from Podman's own ("libpod") description of one network or of a list.
std::map<std::string, LibpodBridge> parse_libpod_bridges(std::string_view json,
                                                         Deadline deadline = Deadline::never());

/// A string that looks_like_id(). @throws Error{engine_error} for any other value.
std::string id_of(const JsonReader& value);

/// The "message" of an error body, or the body itself if it is not such JSON; one line, at most 400 bytes and
/// "…".
std::string parse_error_message(std::string_view body);

/// The "cause" of Podman's error body, a fixed text for each kind of failure; empty without one.
std::string parse_error_cause(std::string_view body);

/// Text from an engine or a container, made safe to show: trimmed, cut after `limit` bytes (with "…"), line
/// ends and tabs as blanks, the rest printable() (core/printable.hpp).
std::string one_line(std::string_view text, std::size_t limit);

}  // namespace hostnet::engine
