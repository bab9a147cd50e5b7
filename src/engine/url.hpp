// Names of containers, images and labels as parts of a request's path and query.
#pragma once

#include <string>
#include <string_view>

namespace hostnet::engine {

/// `name` as one segment of a path, percent-encoded so that no byte of it can end the segment or, being "..",
/// climb out of it. @throws Error{invalid_argument} when it is empty: the path would then name another
/// resource.
std::string path_segment(std::string_view name);

/// `text` as the value of a query's parameter; may be empty.
std::string query_value(std::string_view text);

/// Whether a text looks as the ids that Docker and Podman give to containers, networks and execs: 64
/// hexadecimal digits. A listing's entry that has another one could name what is not in the listing, since
/// requests take names as well.
bool looks_like_id(std::string_view text);

}  // namespace hostnet::engine
