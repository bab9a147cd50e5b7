// Requests by libcurl. One easy handle per Transport keeps the connection open between requests and makes a
// new one when the engine has closed it.
//
// States of a request, all within Transport::send():
//
//   state       event                                    next
//   ----------  ---------------------------------------  ----------------------------------------------------
//   start       deadline or cutoff passed                timed_out; nothing is sent
//   start       stop_requests()                          timed_out; nothing is sent
//   connecting  Unix socket checked (open())             connected; fault and is_roots noted (look_at_peer())
//   connecting  socket missing, refused or queue full    connect_error(), open_unix()'s error
//   connecting  ssh: no login, no engine behind it       SshLink::engine_socket()'s error
//   connecting  name lookup, TLS or certificate fails    transfer_error()
//   headers     blank line                               body
//   headers     more than kLargestHeaders                engine_error
//   headers     connection closed                        engine_error
//   body        end of the answer                        check_status(): Response, or the engine's refusal
//   body        more than kLargestBody without a sink    engine_error
//   body        the sink throws                          that exception
//   any         still_wanted() returns false             the Response as far as it came, status unchecked
//   any         still_wanted() throws                    that exception
//   any         deadline or cutoff                       timed_out
//   any         stop_requests(), see its grace           timed_out
//   any         a GET without a sink lasts for kSlow     the same; told once (engine/slow_engine.hpp)
//
// Timeouts:
//
//   deadline             the caller's      the whole request (CURLOPT_TIMEOUT_MS)
//   end_requests_at()    the process's     start, and checked about once a second (on_progress())
//   kGraceAfterStop      2 s               after stop_requests(): a request that makes something
//   kSlow                3 s               a GET without a sink, until it is told that the engine is slow
//   kConnectSeconds      10 s              over TCP: name lookup, connection and TLS (reach.cpp)
//
//   kLargestHeaders      256 KiB           all headers of an answer
//   kLargestBody         16 MiB            a body without a sink
//
// libcurl's callbacks run in the caller's thread inside curl_easy_perform(). Nothing may be thrown across it:
// a callback stores the exception, and send() throws it again.
#include "engine/transport.hpp"

#include "core/forked.hpp"
#include "core/log.hpp"
#include "core/strings.hpp"
#include "core/unix_address.hpp"
#include "engine/curl.hpp"
#include "engine/cutoff.hpp"
#include "engine/json_reader.hpp"
#include "engine/reach.hpp"
#include "engine/slow_engine.hpp"
#include "engine/ssh_link.hpp"
#include "engine/transport_error.hpp"
#include "engine/unix_socket.hpp"
#include "hostnet/error.hpp"
#include "hostnet/version.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <strings.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

namespace hostnet::engine {
namespace {

constexpr std::size_t kLargestHeaders = 256U << 10;
constexpr std::chrono::milliseconds kGraceAfterStop{2000};

// What libcurl's callbacks use and fill in during one request.
struct Exchange {
  const Curl& curl;
  CURL* handle;
  const BodySink& sink;
  const StillWanted& still_wanted;
  const std::string& engine;  // As messages name it.
  bool is_quick;              // A healthy engine answers it at once.
  bool makes;                 // It changes something at once: its result must be known to be undone.
  Deadline::Clock::time_point begin = Deadline::Clock::now();
  Response response;
  std::size_t header_bytes = 0;
  bool headers_ended = false;
  const char* too_large = nullptr;  // The part of the answer that was: "headers" or "body".
  bool ended_here = false;          // By still_wanted().
  bool cut_off = false;             // By end_requests_at().
  bool stopped = false;             // By stop_requests().
  std::exception_ptr thrown;        // By the sink or still_wanted().

  [[nodiscard]] long status() const {
    long status = 0;
    curl.curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    return status;
  }
};

std::size_t on_body(const char* data, std::size_t, std::size_t size, void* user) noexcept {
  auto& exchange = *static_cast<Exchange*>(user);
  try {
    if (exchange.sink && is_success(exchange.status())) {
      exchange.sink({data, size});
      return size;
    }
    auto& body = exchange.response.body;
    if (body.size() + size > kLargestBody) {
      exchange.too_large = "body";
      return 0;
    }
    body.append(data, size);
    return size;
  } catch (...) {
    exchange.thrown = std::current_exception();
    return 0;
  }
}

// The value of header `name` if `line` is that header and its value is a version number; else empty.
std::string_view version_header(std::string_view line, std::string_view name) {
  if (line.size() <= name.size() || line[name.size()] != ':') return {};
  if (::strncasecmp(line.data(), name.data(), name.size()) != 0) return {};
  const auto value = trim(line.substr(name.size() + 1));
  // The value becomes part of a path: only digits and dots may pass.
  const bool version = value.size() <= 16 && value.find_first_not_of("0123456789.") == std::string_view::npos;
  return version ? value : std::string_view{};
}

std::size_t on_header(const char* data, std::size_t, std::size_t size, void* user) noexcept {
  auto& exchange = *static_cast<Exchange*>(user);
  exchange.header_bytes += size;
  if (exchange.header_bytes > kLargestHeaders) {
    exchange.too_large = "headers";
    return 0;
  }
  const std::string_view line(data, size);
  exchange.headers_ended = line == "\r\n" || line == "\n";
  if (const auto api = version_header(line, "Api-Version"); !api.empty()) exchange.response.api_version = api;
  if (const auto libpod = version_header(line, "Libpod-Api-Version"); !libpod.empty())
    exchange.response.libpod_version = libpod;
  return size;
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) noexcept {
  auto& exchange = *static_cast<Exchange*>(user);
  exchange.cut_off = before_cutoff(Deadline::never()).expired();
  if (exchange.cut_off) return 1;
  exchange.stopped = stopped_for() >= (exchange.makes ? kGraceAfterStop : std::chrono::milliseconds{0});
  if (exchange.stopped) return 1;
  if (exchange.is_quick && Deadline::Clock::now() - exchange.begin >= kSlow)
    tell_slow_engine(exchange.engine, exchange.headers_ended, exchange.response.deadline);
  try {
    exchange.ended_here = exchange.still_wanted && !exchange.still_wanted();
    return exchange.ended_here ? 1 : 0;
  } catch (...) {
    exchange.thrown = std::current_exception();
    return 1;
  }
}

Error timed_out(const Exchange& exchange) {
  const auto& call = exchange.response.call;
  if (exchange.headers_ended)
    return {Errc::timed_out, fmt::format("{}: the answer had not ended in time", call)};
  return {Errc::timed_out, fmt::format("{}: the container engine gave no answer in time", call),
          "see whether the engine hangs: docker info, or journalctl -u docker"};
}

Error stopped(const std::string& call) {
  return {Errc::timed_out, fmt::format("{}: this process was told to stop", call)};
}

}  // namespace

Error senseless(const Response& answer, const Error& parser) {
  // Else the answer makes sense, and says what failed.
  if (!std::string_view(parser.what()).starts_with(kNoSense)) return parser.in_context(answer.call);
  log::debug("{}: {}", answer.call, parser.what());
  return {parser.code(),
          fmt::format("the answer to {} is not that of a container engine, or cut short", answer.call),
          "see what listens there; -v shows what is wrong with the answer", parser.sys_errno()};
}

struct Transport::Request {
  std::string method;
  std::string_view path;
  std::string_view body;
  const char* type = nullptr;    // of the body; nullptr: JSON
  const char* header = nullptr;  // one more line
};

struct Transport::Connection {
  const Curl& curl = Curl::get();
  EasyHandle handle{curl.curl_easy_init()};
  // An empty "Expect:" keeps libcurl from waiting for "100 Continue" before a large body.
  List own_headers;
  List json_headers = make_list({"Content-Type: application/json", "Expect:"});
  std::array<char, CURL_ERROR_SIZE> detail{};  // libcurl's message for a failure
  std::string fault;                           // of the first faulty connection; never cleared
  bool is_roots = true;
  std::exception_ptr not_connected;
  std::shared_ptr<SshLink> link;  // for ssh://
  std::uint64_t generation = fork_generation();
  Address forwarded;

  // libcurl connects by path, to whatever is there at that moment. So for each new connection we replace the
  // address by the inode that was checked, and look up the listener afterwards. (We cannot give libcurl a
  // connected socket: 7.88 connects it once more.)
  struct Opening {
    Connection* connection;
    const Address* address;
  };
  Opening opening{};
  UnixTarget target;
  Fd connected;  // a second descriptor of libcurl's socket

  static curl_socket_t open(void* user, curlsocktype, curl_sockaddr* where) noexcept {
    const auto& [connection, address] = *static_cast<const Opening*>(user);
    try {
      connection->target = open_unix(*address);
      if (connection->fault.empty()) connection->fault = connection->target.fault;
      const auto named = unix_address(connection->target.path).value();
      // curl_sockaddr has room for any address.
      std::memcpy(reinterpret_cast<char*>(where) + offsetof(curl_sockaddr, addr), &named, sizeof named);
      where->addrlen = sizeof named;
      Fd made(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      if (!made) throw Error::from_errno("socket", errno);
      connection->connected.reset(::fcntl(made.get(), F_DUPFD_CLOEXEC, 0));
      if (!connection->connected) throw Error::from_errno("dup", errno);
      return made.release();
    } catch (...) {
      connection->not_connected = std::current_exception();
      return CURL_SOCKET_BAD;
    }
  }

  // Checks the listener of a new connection, after the request. After a failed request there may be none.
  void look_at_peer(bool succeeded) {
    const Fd made = std::move(connected);
    target.inode.reset();
    if (!made) return;
    try {
      is_roots &= peer_of(made.get(), fault).uid == 0;
    } catch (const Error&) {
      if (succeeded) throw;
    }
  }

  template <class Value>
  void set(CURLoption option, Value value) {
    if (const CURLcode code = curl.curl_easy_setopt(handle.get(), option, value); code != CURLE_OK)
      throw Error(Errc::engine_unavailable,
                  fmt::format("this libcurl cannot make the request: {}", curl.curl_easy_strerror(code)));
  }

  struct Idle;
  static std::unique_ptr<Connection> idle(const std::string& engine);
  static void keep(const std::string& engine, std::unique_ptr<Connection> connection) noexcept;

  // Where to connect: the address itself, or the socket here that leads to an engine behind a login.
  const Address& way_to(const Address& address, Deadline deadline) {
    if (!address.ssh) return address;
    if (!link) link = SshLink::to(address);
    forwarded = {.socket = link->engine_socket(deadline), .from = address.from};
    return forwarded;
  }

  // Sets the options of one request; the connection stays open. libcurl copies strings, but not the body.
  void prepare(const Address& address, const Request& request, Deadline deadline, Exchange& exchange) {
    curl.curl_easy_reset(handle.get());
    reach(curl, handle.get(), address, request.path);
    not_connected = nullptr;
    if (!address.tcp) {
      opening = {this, &address};
      set(CURLOPT_OPENSOCKETFUNCTION, &open);
      set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(&opening));
    }
    detail.fill('\0');
    set(CURLOPT_ERRORBUFFER, detail.data());
    if (request.method == "POST" || request.method == "PUT") {
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
      set(CURLOPT_POSTFIELDS, request.body.empty() ? "" : request.body.data());
      if (request.type != nullptr || request.header != nullptr) {
        const auto type =
            fmt::format("Content-Type: {}", request.type != nullptr ? request.type : "application/json");
        own_headers = request.header != nullptr ? make_list({type.c_str(), "Expect:", request.header})
                                                : make_list({type.c_str(), "Expect:"});
        set(CURLOPT_HTTPHEADER, own_headers.get());
      } else {
        set(CURLOPT_HTTPHEADER, json_headers.get());
      }
    }
    if (request.method != "POST") set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
    set(CURLOPT_PATH_AS_IS, 1L);
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_USERAGENT, "tc-hostnet/" HOSTNET_VERSION);
    // At least 1: the deadline may have passed since the check in send(), and 0 means no limit.
    const auto milliseconds = std::max(1L, static_cast<long>(deadline.remaining().count()));
    set(CURLOPT_TIMEOUT_MS, deadline.is_never() ? 0L : milliseconds);
    set(CURLOPT_WRITEFUNCTION, &on_body);
    set(CURLOPT_WRITEDATA, static_cast<void*>(&exchange));
    set(CURLOPT_HEADERFUNCTION, &on_header);
    set(CURLOPT_HEADERDATA, static_cast<void*>(&exchange));
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, &on_progress);
    set(CURLOPT_XFERINFODATA, static_cast<void*>(&exchange));
  }
};

// Connections to engines behind a login that no Transport uses at the moment, by the engine's address.
struct Transport::Connection::Idle {
  std::mutex mutex;
  std::map<std::string, std::vector<std::unique_ptr<Connection>>> of;
};

std::unique_ptr<Transport::Connection> Transport::Connection::idle(const std::string& engine) {
  auto& all = for_this_process<Idle>();
  const std::scoped_lock lock(all.mutex);
  auto& here = all.of[engine];
  if (here.empty()) return nullptr;
  auto connection = std::move(here.back());
  here.pop_back();
  return connection;
}

void Transport::Connection::keep(const std::string& engine, std::unique_ptr<Connection> connection) noexcept {
  constexpr std::size_t most = 4;
  // A forked child shares its parent's connections, and can neither use nor end them.
  if (connection->generation != fork_generation()) return;
  auto& all = for_this_process<Idle>();
  const std::scoped_lock lock(all.mutex);
  if (all.of[engine].size() < most) all.of[engine].push_back(std::move(connection));
}

Transport::Transport(Address address) : address_(std::move(address)) {
  if (address_.is_unix() && address_.socket.size() > kLongestUnixPath)
    throw Error(
        Errc::invalid_argument,
        fmt::format("the engine's socket path {} ({}) has {} bytes; a Unix socket's path has at most {}",
                    quote(address_.socket), address_.from, address_.socket.size(), kLongestUnixPath),
        "give a shorter path, for example through a symbolic link to the folder");
  if (address_.ssh) connection_ = Connection::idle(address_.text());
  if (!connection_) connection_ = std::make_unique<Connection>();
  if (!connection_->handle) throw Error(Errc::engine_unavailable, "libcurl gives no handle");
}

// The next one of this process need not make a connection through the login again.
Transport::~Transport() {
  if (address_.ssh) Connection::keep(address_.text(), std::move(connection_));
}

std::optional<Ipv4> Transport::peer() const {
  const char* text = nullptr;
  if (address_.tcp)
    connection_->curl.curl_easy_getinfo(connection_->handle.get(), CURLINFO_PRIMARY_IP, &text);
  return text == nullptr ? std::nullopt : Ipv4::parse(text);
}

const std::string& Transport::fault() const { return connection_->fault; }

bool Transport::is_roots() const { return connection_->is_roots; }

Response Transport::get(std::string_view path, Deadline deadline, const BodySink& sink,
                        const StillWanted& still_wanted) {
  return send({"GET", path, {}}, deadline, sink, still_wanted);
}

Response Transport::post(std::string_view path, std::string_view json, Deadline deadline,
                         const BodySink& sink, const StillWanted& still_wanted, const std::string& header) {
  const Request request{
      .method = "POST", .path = path, .body = json, .header = header.empty() ? nullptr : header.c_str()};
  return send(request, deadline, sink, still_wanted);
}

Response Transport::post_body(std::string_view path, const char* type, std::string_view body,
                              Deadline deadline) {
  return send({"POST", path, body, type}, deadline, {});
}

Response Transport::put(std::string_view path, const char* type, std::string_view body, Deadline deadline) {
  return send({"PUT", path, body, type}, deadline, {});
}

Response Transport::remove(std::string_view path, Deadline deadline) {
  return send({"DELETE", path, {}}, deadline, {});
}

// A lost login takes the connections with it. What may be asked twice is asked once more, by another login.
Response Transport::send(const Request& request, Deadline deadline, const BodySink& sink,
                         const StillWanted& still_wanted) {
  const bool may_repeat =
      address_.ssh && !sink && !still_wanted && (request.method == "GET" || request.method == "DELETE");
  if (may_repeat) {
    try {
      return send_once(request, deadline, sink, still_wanted);
    } catch (const HungUp& lost) {
      log::debug("{}: once more", lost.what());
    }
  }
  return send_once(request, deadline, sink, still_wanted);
}

Response Transport::send_once(const Request& request, Deadline deadline, const BodySink& sink,
                              const StillWanted& still_wanted) {
  auto& curl = connection_->curl;
  auto& handle = connection_->handle;
  auto& detail = connection_->detail;
  // A pull, an end or a stream that is followed takes its time.
  const bool is_plain = !sink && !still_wanted;
  const bool is_quick = request.method == "GET" && is_plain;
  Exchange exchange{.curl = curl,
                    .handle = handle.get(),
                    .sink = sink,
                    .still_wanted = still_wanted,
                    .engine = address_.socket,
                    .is_quick = is_quick,
                    .makes = is_plain && !is_quick};
  deadline = before_cutoff(deadline);
  exchange.response.deadline = deadline;
  // Leaves out the query, which is long and percent-encoded.
  exchange.response.call = fmt::format("{} {} on {}", request.method,
                                       request.path.substr(0, request.path.find('?')), address_.socket);
  if (stopped_for() >= std::chrono::milliseconds{0}) throw stopped(exchange.response.call);
  if (deadline.expired()) throw timed_out(exchange);

  connection_->prepare(connection_->way_to(address_, deadline), request, deadline, exchange);
  const CURLcode code = curl.curl_easy_perform(handle.get());
  connection_->look_at_peer(code == CURLE_OK);
  long system_error = 0;
  curl.curl_easy_getinfo(handle.get(), CURLINFO_OS_ERRNO, &system_error);
  exchange.response.status = exchange.status();

  const auto& call = exchange.response.call;
  if (exchange.thrown) std::rethrow_exception(exchange.thrown);
  if (connection_->not_connected) std::rethrow_exception(connection_->not_connected);
  if (exchange.stopped) throw stopped(call);
  if (exchange.cut_off) throw timed_out(exchange);
  if (exchange.ended_here) return std::move(exchange.response);
  if (exchange.too_large != nullptr)
    throw Error(Errc::engine_error,
                fmt::format("{}: the answer's {} grew too large", call, exchange.too_large));
  switch (code) {
    case CURLE_OK:
      break;
    case CURLE_OPERATION_TIMEDOUT:
      if (!address_.tcp || exchange.header_bytes != 0) throw timed_out(exchange);
      [[fallthrough]];
    default:
      if (address_.ssh && exchange.header_bytes == 0) throw HungUp(address_);
      throw transfer_error(address_, call, code, detail.data(), static_cast<int>(system_error));
  }

  // libcurl accepts a connection closed within the headers as a complete answer without a body.
  if (!exchange.headers_ended) throw broken_off(call);
  count_answer();
  check_speaks_plainly(address_, exchange.response);
  check_status(exchange.response);
  return std::move(exchange.response);
}

}  // namespace hostnet::engine
