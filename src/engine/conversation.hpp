// A request that turns its connection into a stream in both directions: exec with standard input, and attach. libcurl
// does not give out the connection after an upgrade, so this uses a Wire.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"
#include "engine/raw_http.hpp"
#include "engine/transport.hpp"

#include <functional>
#include <string>
#include <string_view>

namespace hostnet::engine {

/// POSTs `json` and requests an upgrade, then sends `input` and ends it, and passes the engine's output to
/// the sink until the engine ends it. `path` as for Transport.
/// @throws Error as Transport's calls do, no_path over TLS; also what the sink throws.
void converse(const Address& address, const std::string& path, std::string_view json, std::string_view input,
              Deadline deadline, const BodySink& sink);

/// A connection that has become a stream.
struct OpenStream {
  Wire wire;
  std::string first;  ///< Bytes of the stream that came with the answer's headers.
  bool more = true;   ///< False: the engine has ended it already.
};

/// POSTs `json` and requests an upgrade. @throws Error as Transport's calls do.
OpenStream open_stream(const Address& address, const std::string& path, std::string_view json,
                       Deadline deadline);

/// The ends on this side of an attachment.
struct AttachEnds {
  int input = -1;               ///< Read and sent until its end; -1: none.
  int stop = -1;                ///< Readable: leave at once.
  std::function<void()> ready;  ///< Called once when the stream is open.
  BodySink sink;                ///< May be empty: the output is dropped.
};

/// POSTs to a container's attach, then carries both directions until the engine ends the stream: returns true; false
/// if `stop` ended it, or the end of the input over TLS. `deadline` bounds the time until it is open. Over TLS the end of the input ends the connection, so that a container that was
/// created with StdinOnce sees it; for a terminal's output use another way then.
/// @throws as converse().
bool attach_to(const Address& address, const std::string& path, Deadline deadline, const AttachEnds& ends);

}  // namespace hostnet::engine
