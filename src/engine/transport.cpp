// Requests by libcurl.
#include "engine/transport.hpp"

#include "core/strings.hpp"
#include "engine/curl.hpp"
#include "engine/parse.hpp"
#include "hostnet/error.hpp"
#include "hostnet/version.hpp"

#include <fmt/format.h>
#include <grp.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

namespace hostnet::engine {
namespace {

constexpr std::size_t kLargestHeaders = 256U << 10;

// What libcurl's callbacks fill in during one request.
struct Exchange {
  Response response;
  std::size_t header_bytes = 0;
  bool headers_ended = false;
  const char* too_large = nullptr;  // What of the answer was.
};

std::size_t on_body(const char* data, std::size_t, std::size_t size, void* user) noexcept {
  auto& exchange = *static_cast<Exchange*>(user);
  auto& body = exchange.response.body;
  if (body.size() + size > kLargestBody) {
    exchange.too_large = "body";
    return 0;
  }
  try {
    body.append(data, size);
  } catch (const std::bad_alloc&) {
    return 0;
  }
  return size;
}

// The value of header `name` if `line` is that header and the value is a version number; else empty.
std::string_view version_header(std::string_view line, std::string_view name) {
  if (line.size() <= name.size() || line[name.size()] != ':') return {};
  if (::strncasecmp(line.data(), name.data(), name.size()) != 0) return {};
  const auto value = trim(line.substr(name.size() + 1));
  // It becomes part of a path, so nothing but digits and dots may pass.
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

std::string owning_group(const std::string& socket) {
  struct stat status {};
  if (::stat(socket.c_str(), &status) != 0) return {};
  std::array<char, 4096> buffer;
  struct group entry {};
  struct group* found = nullptr;
  if (::getgrgid_r(status.st_gid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr)
    return {};
  return found->gr_name;
}

Error connect_error(const Address& address, int cause) {
  // libcurl reports no errno when the listener's queue is full, as a hung engine's is in the end.
  const auto why = cause == 0 ? "it takes no more connections" : std::generic_category().message(cause);
  if (cause == EACCES || cause == EPERM) {
    const auto group = owning_group(address.socket);
    return {Errc::not_authorised,
            fmt::format("the container engine's socket {} ({}) may not be opened: {}", address.socket,
                        address.from, why),
            group.empty() || group == "root"
                ? "run it as root, or join the group that owns the socket"
                : fmt::format("run it as root, or join the group that owns the socket, {}", group),
            cause};
  }
  return {Errc::engine_unavailable,
          fmt::format("no container engine answers on {} ({}): {}", address.socket, address.from, why),
          "start the engine, or set DOCKER_HOST to the socket of one that runs", cause};
}

}  // namespace

struct Transport::Connection {
  const Curl& curl = Curl::get();
  EasyHandle handle{curl.easy_init()};

  template <class Value>
  void set(CURLoption option, Value value) {
    if (const CURLcode code = curl.easy_setopt(handle.get(), option, value); code != CURLE_OK)
      throw Error(Errc::engine_unavailable,
                  fmt::format("this libcurl cannot speak to a Unix socket: {}", curl.easy_strerror(code)),
                  "install a libcurl built with Unix socket support");
  }
};

Transport::Transport(Address address) : address_(std::move(address)) {
  constexpr std::size_t longest = sizeof(sockaddr_un::sun_path) - 1;
  if (address_.socket.size() > longest)
    throw Error(
        Errc::invalid_argument,
        fmt::format("the engine's socket path {} ({}) has {} bytes; a Unix socket's path has at most {}",
                    quote(address_.socket), address_.from, address_.socket.size(), longest),
        "give a shorter path, for example of a symbolic link to the folder");
  connection_ = std::make_unique<Connection>();
  if (!connection_->handle) throw Error(Errc::engine_unavailable, "libcurl gives no handle");
}

Transport::~Transport() = default;

Response Transport::get(std::string_view path, Deadline deadline) {
  const auto call = fmt::format("GET {} on {}", path, address_.socket);
  const auto timed_out = [&] {
    return Error(Errc::timed_out, fmt::format("{}: the container engine gave no answer in time", call),
                 "see whether the engine hangs: docker info, or journalctl -u docker");
  };
  if (deadline.expired()) throw timed_out();

  auto& [curl, handle] = *connection_;
  Exchange exchange;
  const auto url = fmt::format("http://engine{}", path);
  curl.easy_reset(handle.get());  // options only: the connection stays open
  connection_->set(CURLOPT_UNIX_SOCKET_PATH, address_.socket.c_str());
  connection_->set(CURLOPT_URL, url.c_str());
  connection_->set(CURLOPT_PATH_AS_IS, 1L);
  connection_->set(CURLOPT_PROXY, "");  // http_proxy in the environment is not meant for a Unix socket
  connection_->set(CURLOPT_FOLLOWLOCATION, 0L);
  connection_->set(CURLOPT_NOSIGNAL, 1L);
  connection_->set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  connection_->set(CURLOPT_USERAGENT, "tc-hostnet/" HOSTNET_VERSION);
  // At least 1: the deadline may have passed since it was looked at, and 0 means no limit.
  const auto milliseconds = std::max(1L, static_cast<long>(deadline.remaining().count()));
  connection_->set(CURLOPT_TIMEOUT_MS, deadline.is_never() ? 0L : milliseconds);
  connection_->set(CURLOPT_WRITEFUNCTION, &on_body);
  connection_->set(CURLOPT_WRITEDATA, static_cast<void*>(&exchange));
  connection_->set(CURLOPT_HEADERFUNCTION, &on_header);
  connection_->set(CURLOPT_HEADERDATA, static_cast<void*>(&exchange));

  const CURLcode code = curl.easy_perform(handle.get());
  long system_error = 0;
  curl.easy_getinfo(handle.get(), CURLINFO_OS_ERRNO, &system_error);
  curl.easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &exchange.response.status);

  if (exchange.too_large != nullptr)
    throw Error(Errc::engine_error,
                fmt::format("{}: the answer's {} grew too large", call, exchange.too_large));
  switch (code) {
    case CURLE_OK:
      break;
    case CURLE_OPERATION_TIMEDOUT:
      throw timed_out();
    case CURLE_COULDNT_CONNECT:
      throw connect_error(address_, static_cast<int>(system_error));
    default:
      throw Error(Errc::engine_error, fmt::format("{}: {}", call, curl.easy_strerror(code)));
  }

  // libcurl takes a connection that is closed among the headers for a whole answer without a body.
  if (!exchange.headers_ended)
    throw Error(Errc::engine_error, fmt::format("{}: the answer ends in its headers", call));

  const auto status = exchange.response.status;
  if (status >= 200 && status < 300) return std::move(exchange.response);
  auto message = parse_error_message(exchange.response.body);
  // Docker answers a path that its router would write otherwise ("..", "//") by a redirect to that. Ours are
  // so only by a name with such parts, percent-encoded; nothing bears one, and where the redirect leads is
  // another resource.
  if (status == 404 || (status >= 300 && status < 400))
    throw Error(Errc::not_found, status == 404 && !message.empty()
                                     ? message
                                     : fmt::format("{}: there is no such thing", call));
  throw Error(Errc::engine_error, message.empty()
                                      ? fmt::format("{}: HTTP status {}", call, status)
                                      : fmt::format("{}: HTTP status {}: {}", call, status, message));
}

std::string path_segment(std::string_view name) {
  if (name.empty()) throw Error(Errc::invalid_argument, "the name of a container or network is empty");
  // "." and ".." are legal characters with a meaning of their own as a whole segment: spelt out, they have
  // none here.
  const bool dots = name.find_first_not_of('.') == std::string_view::npos;
  constexpr std::string_view unreserved =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~.";
  std::string out;
  for (const char c : name) {
    if (!dots && unreserved.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace hostnet::engine
