// HTTP requests to an engine over a Unix socket or TCP, with failures as the project's errors. States, events
// and timeouts: transport.cpp.
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
  std::string call;                       ///< The request, for messages: "GET /_ping on /run/docker.sock".
  long status = 0;                        ///< 200–299, or 304 for "already so"; any other status throws.
  std::string body;                       ///< At most kLargestBody bytes; empty if a sink took it.
  std::string api_version;                ///< The header Api-Version, "1.41"; empty without it.
  std::string libpod_version;             ///< The header Libpod-Api-Version, "4.3.1"; only Podman sends it.
  Deadline deadline = Deadline::never();  ///< The request's; it also bounds the parsing of the body.
};

/// The error in place of a parser's. Words about the text go to the log.
Error senseless(const Response& answer, const Error& parser);

/// Parses the body, by the request's deadline if `parse` takes one. @throws Error: senseless().
template <class Parser>
auto parsed(const Response& answer, Parser parse) {
  try {
    if constexpr (std::is_invocable_v<Parser, const std::string&, Deadline>)
      return parse(answer.body, answer.deadline);
    else
      return parse(answer.body);
  } catch (const Error& error) {
    throw senseless(answer, error);
  }
}

/// Limit of a body without a sink. An engine with thousands of networks answers with a few megabytes.
inline constexpr std::size_t kLargestBody = 16U << 20;

/// Takes an answer's body in pieces of any size; the sum has no limit. An exception from it ends the request
/// and passes through it. It must make no request on the same Transport.
using BodySink = std::function<void(std::string_view)>;

/// Called about once a second during a request; false ends the request as if the engine had ended the answer.
/// An exception from it ends the request and passes through it. It must make no request on the same
/// Transport.
using StillWanted = std::function<bool()>;

/// A connection kept open between requests. Not thread-safe.
///
/// `path` is absolute; its variable parts come from path_segment() and query_value(). Each request throws
/// Error: engine_unavailable (no listener, TLS fails, an untrusted certificate), not_authorised (no access to
/// the socket, our client certificate is missing or refused), timed_out (the answer was not complete at the
/// deadline), not_found (404, or a redirect: we follow none), conflict (409), engine_error (any other status,
/// not HTTP, or a connection closed before the end of the answer). The body of an error status never goes to
/// the sink.
class Transport {
 public:
  /// Does not connect yet. @throws Error: invalid_argument for a path too long for a Unix socket,
  /// engine_unavailable without libcurl.
  explicit Transport(Address address);
  ~Transport();

  Response get(std::string_view path, Deadline deadline, const BodySink& sink = {},
               const StillWanted& still_wanted = {});
  /// `json` may be empty. `header` is one more header line; empty: none.
  Response post(std::string_view path, std::string_view json, Deadline deadline, const BodySink& sink = {},
                const StillWanted& still_wanted = {}, const std::string& header = {});
  /// POST with a body of the given content type.
  Response post_body(std::string_view path, const char* type, std::string_view body, Deadline deadline);
  /// PUT with a body of the given content type.
  Response put(std::string_view path, const char* type, std::string_view body, Deadline deadline);
  /// DELETE.
  Response remove(std::string_view path, Deadline deadline);

  /// As Client::peer().
  [[nodiscard]] std::optional<Ipv4> peer() const;
  /// The first non-empty UnixConnection::fault of the connections so far; empty if all were without fault.
  [[nodiscard]] const std::string& fault() const;
  /// Whether every connection so far had a root listener. True before the first one, and over TCP.
  [[nodiscard]] bool is_roots() const;

 private:
  struct Request;
  struct Connection;
  Response send(const Request& request, Deadline deadline, const BodySink& sink,
                const StillWanted& still_wanted = {});
  Response send_once(const Request& request, Deadline deadline, const BodySink& sink,
                     const StillWanted& still_wanted);

  Address address_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace hostnet::engine
