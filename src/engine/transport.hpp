// HTTP over an engine's Unix socket or TCP: one request, and what can go wrong with it told in the project's
// errors.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"
#include "hostnet/error.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

namespace hostnet::engine {

struct Response {
  std::string call;            ///< What was asked, for messages: "GET /_ping on /run/docker.sock".
  long status = 0;             ///< 200–299, or 304 for what is so already: everything else is thrown.
  std::string body;            ///< At most kLargestBody bytes; empty where a sink took it.
  std::string api_version;     ///< The header Api-Version, "1.41"; empty where there is none.
  std::string libpod_version;  ///< The header Libpod-Api-Version, "4.3.1"; Podman alone sends it.
  Deadline deadline = Deadline::never();  ///< The request's, which the reading of the body must meet, too.
};

/// What `parse` makes of the body, by the request's deadline if it takes one; its Error names the call.
template <class Parser>
auto parsed(const Response& answer, Parser parse) {
  try {
    if constexpr (std::is_invocable_v<Parser, const std::string&, Deadline>)
      return parse(answer.body, answer.deadline);
    else
      return parse(answer.body);
  } catch (const Error& error) {
    throw error.in_context(answer.call);
  }
}

/// An engine on a machine with thousands of networks answers with some megabytes at most.
inline constexpr std::size_t kLargestBody = 16U << 20;

/// Takes an answer's body in pieces, as they come and cut anywhere, without a limit to their sum. What it
/// throws ends the request and comes out of it. It must make no request on the same Transport.
using BodySink = std::function<void(std::string_view)>;

/// Asked about once a second while an answer comes, or does not; false ends it there, as if the engine had.
/// What it throws ends the request and comes out of it. It must make no request on the same Transport.
using StillWanted = std::function<bool()>;

/// A connection kept open between requests. Not thread-safe.
///
/// The path of a request is absolute; its variable parts went through path_segment() and query_value(). Each
/// throws Error: engine_unavailable (nobody listens, hung up before a byte, a certificate that is not to be
/// trusted), not_authorised (the socket is closed to us, a certificate of ours is missing or refused),
/// timed_out (the answer had not ended at the deadline), not_found (404, or a redirect: none is followed),
/// conflict (409), engine_error (any other status, or not HTTP). The body of an error status never goes to
/// the sink.
class Transport {
 public:
  /// Opens nothing yet. @throws Error: invalid_argument when the path does not fit a Unix socket's address,
  /// engine_unavailable without libcurl.
  explicit Transport(Address address);
  ~Transport();

  Response get(std::string_view path, Deadline deadline, const BodySink& sink = {},
               const StillWanted& still_wanted = {});
  /// `json` may be empty.
  Response post(std::string_view path, std::string_view json, Deadline deadline, const BodySink& sink = {});
  /// The method PUT, with a body of any type.
  Response put(std::string_view path, const char* type, std::string_view body, Deadline deadline);
  /// The method DELETE.
  Response remove(std::string_view path, Deadline deadline);

  /// As Client::peer().
  [[nodiscard]] std::optional<Ipv4> peer() const;
  /// UnixConnection::fault of the first connection so far that had one; empty while none had.
  [[nodiscard]] const std::string& fault() const;
  /// Whether root listened at the end of every connection so far to a Unix socket. True before the first.
  [[nodiscard]] bool is_roots() const;

 private:
  struct Request;
  struct Connection;
  Response send(const Request& request, Deadline deadline, const BodySink& sink,
                const StillWanted& still_wanted = {});

  Address address_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace hostnet::engine
