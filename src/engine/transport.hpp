// HTTP over an engine's Unix socket: one request, and what can go wrong with it told in the project's errors.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace hostnet::engine {

struct Response {
  long status = 0;             ///< 200–299: everything else is thrown.
  std::string body;            ///< At most kLargestBody bytes.
  std::string api_version;     ///< The header Api-Version, "1.41"; empty where there is none.
  std::string libpod_version;  ///< The header Libpod-Api-Version, "4.3.1"; Podman alone sends it.
};

/// An engine on a machine with thousands of networks answers with some megabytes at most.
inline constexpr std::size_t kLargestBody = 16U << 20;

/// A connection kept open between requests. Not thread-safe.
class Transport {
 public:
  /// Opens nothing yet. @throws Error: invalid_argument when the path does not fit a Unix socket's address,
  /// engine_unavailable without libcurl.
  explicit Transport(Address address);
  ~Transport();

  /// GET of an absolute path whose variable parts went through path_segment().
  /// @throws Error: engine_unavailable (nobody listens, hung up before a byte), not_authorised (the socket is
  ///         closed to us), timed_out, not_found (404, or a redirect: none is followed), engine_error (any
  ///         other status, or not HTTP).
  Response get(std::string_view path, Deadline deadline);

 private:
  struct Connection;
  Address address_;
  std::unique_ptr<Connection> connection_;
};

/// `name` as one segment of a path, percent-encoded so that no byte of it can end the segment or, being "..",
/// climb out of it. @throws Error{invalid_argument} when it is empty: the path would then name another
/// resource.
std::string path_segment(std::string_view name);

}  // namespace hostnet::engine
