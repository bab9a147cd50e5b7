// Encodes and decodes names of containers, images and labels for a request's path and query.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hostnet::engine {

/// `name` as one segment of a path, percent-encoded so that no byte ends the segment and ".." does not climb
/// out of it. @throws Error{invalid_argument} for an empty name: the path would name another resource.
std::string path_segment(std::string_view name);

/// `text` as the value of a query parameter; may be empty.
std::string query_value(std::string_view text);

/// `text` with every byte percent-encoded but the unreserved ones and those in `also`.
std::string percent_encoded(std::string_view text, std::string_view also);

/// `text` with its percent-encoded bytes as they are; nullopt if two hexadecimal digits do not follow a percent sign.
std::optional<std::string> percent_decoded(std::string_view text);

/// Whether a text has the form of a Docker or Podman id of a container, network or exec: 64 hexadecimal
/// digits. Requests also take names, so a malformed id in a listing could name a resource outside the
/// listing.
bool looks_like_id(std::string_view text);

}  // namespace hostnet::engine
