// Parses addresses and implements the search order of Address::find().
#include "engine/address.hpp"

#include "core/ipv4.hpp"
#include "core/strings.hpp"
#include "engine/context.hpp"
#include "engine/url.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <utility>
#include <vector>

namespace hostnet::engine {
namespace {

constexpr const char* kForm = "give unix:///path/to/engine.sock, tcp://host:port or ssh://user@host";
constexpr const char* kContainerHost = "CONTAINER_HOST";
// Docker's own ports for the API.
constexpr std::uint16_t kPlainPort = 2375;
constexpr std::uint16_t kTlsPort = 2376;

const char* from_environment(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

// TLS settings from the environment. With DOCKER_CERT_PATH alone, the docker command ignores the folder, and
// docker's libraries use TLS without verifying the engine. We verify: a user who gives certificates wants
// both.
std::optional<Tls> tls_of_environment() {
  const char* const folder = from_environment("DOCKER_CERT_PATH");
  const char* const verify = from_environment("DOCKER_TLS_VERIFY");
  if (folder == nullptr && verify == nullptr) return std::nullopt;
  const auto where = folder != nullptr ? std::filesystem::absolute(folder) : docker_folder();
  auto tls = certificates_in(where);
  if (!tls || tls->ca.empty())
    throw Error(Errc::engine_unavailable,
                fmt::format("{} is set, but {} has no ca.pem to verify the engine with",
                            verify != nullptr ? "DOCKER_TLS_VERIFY" : "DOCKER_CERT_PATH", where.string()),
                "set DOCKER_CERT_PATH to the folder with ca.pem, cert.pem and key.pem");
  return tls;
}

// Parses what text() writes after the question mark. False for anything else.
bool read_query(std::string_view query, std::optional<Tls>& tls) {
  tls.reset();
  bool has_tls = false;
  for (const auto part : split(query, '&')) {
    const auto equals = part.find('=');
    if (equals == std::string_view::npos) return false;
    const auto key = part.substr(0, equals);
    const auto value = percent_decoded(part.substr(equals + 1));
    if (!value) return false;
    if (key == "tls" && !has_tls) {
      has_tls = true;
      if (*value != "none") tls.emplace().verify = *value != "unverified";
      if (tls && tls->verify && *value != "verified") return false;
    } else if (!tls || !value->starts_with('/')) {
      return false;
    } else if (key == "ca" || key == "cert" || key == "key") {
      (key == "ca" ? tls->ca : key == "cert" ? tls->cert : tls->key) = *value;
    } else {
      return false;
    }
  }
  return has_tls && (!tls || tls->cert.empty() == tls->key.empty());
}

bool may_be_in_host(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' || c == '-' ||
         c == '_';
}

std::string with_brackets(const std::string& host) {
  return host.find(':') == std::string::npos ? host : fmt::format("[{}]", host);
}

std::string tcp_name(const Tcp& tcp) { return fmt::format("tcp://{}:{}", with_brackets(tcp.host), tcp.port); }

using TlsSource = std::function<std::optional<Tls>()>;

// `rest` is what follows "tcp://".
Address parse_tcp(std::string_view text, std::string_view rest, const std::string& from,
                  const TlsSource& tls_source) {
  const auto malformed = [&](std::string_view why) {
    return Error(Errc::invalid_argument, fmt::format("{} is {}: {}", from, quote(text), why), kForm);
  };
  Tcp tcp;
  if (const auto mark = rest.find('?'); mark != std::string_view::npos) {
    if (!read_query(rest.substr(mark + 1), tcp.tls)) throw malformed("the text after the port is invalid");
    rest = rest.substr(0, mark);
  } else {
    tcp.tls = tls_source();
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  std::string_view port;
  if (rest.starts_with('[')) {
    const auto end = rest.find(']');
    if (end == std::string_view::npos) throw malformed("its bracket is not closed");
    tcp.host = rest.substr(1, end - 1);
    port = rest.substr(end + 1);
    const auto odd = tcp.host.find_first_not_of("0123456789abcdefABCDEF:.");
    if (tcp.host.find(':') == std::string::npos || odd != std::string::npos)
      throw malformed("its brackets hold no IPv6 address");
  } else {
    const auto colon = rest.find(':');
    tcp.host = rest.substr(0, colon);
    if (colon != std::string_view::npos) port = rest.substr(colon);
    if (tcp.host.empty() || tcp.host.front() == '-' || !std::ranges::all_of(tcp.host, may_be_in_host))
      throw malformed("it names no host");
  }
  tcp.port = tcp.tls ? kTlsPort : kPlainPort;
  if (!port.empty()) {
    const auto number = port.front() == ':' ? parse_number(port.substr(1), 65535) : std::nullopt;
    if (!number || *number == 0) throw malformed("its port is not a number from 1 to 65535");
    tcp.port = static_cast<std::uint16_t>(*number);
  }
  auto name = tcp_name(tcp);
  return {std::move(name), from, std::move(tcp)};
}

// `rest` is what follows "ssh://". Podman's own variable means Podman's socket.
Address address_of_ssh(std::string_view text, std::string_view rest, const std::string& from) {
  try {
    auto ssh = parse_ssh(rest, from == kContainerHost ? kPodmanSocketThere : kDockerSocketThere);
    return {.socket = ssh.name(), .from = from, .ssh = std::move(ssh)};
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("{} is {}: {}", from, quote(text), error.what()),
                "give ssh://user@host, ssh://user@host:port or ssh://host/path/to/engine.sock");
  }
}

[[noreturn]] void refuse_scheme(std::string_view text, std::string_view scheme, const std::string& from) {
  if (scheme == "http" || scheme == "https")
    throw Error(Errc::engine_unavailable,
                fmt::format("{} is {}: an engine on the network has a tcp:// address", from, quote(text)),
                scheme == "http" ? "write tcp://host:port"
                                 : "write tcp://host:port, and set DOCKER_TLS_VERIFY=1 for TLS");
  throw Error(Errc::invalid_argument,
              fmt::format("{} is {}: unknown scheme {}", from, quote(text), quote(scheme)), kForm);
}

Address parse(std::string_view text, const std::string& from, const TlsSource& tls_source) {
  std::string_view path = text;
  if (const auto colon = text.find("://"); colon != std::string_view::npos) {
    const auto scheme = text.substr(0, colon);
    path = text.substr(colon + 3);
    if (scheme == "tcp") return parse_tcp(text, path, from, tls_source);
    if (scheme == "ssh") return address_of_ssh(text, path, from);
    if (scheme != "unix") refuse_scheme(text, scheme, from);
  }
  if (!path.starts_with('/') || path.ends_with('/') || path.find('\0') != std::string_view::npos)
    throw Error(Errc::invalid_argument,
                fmt::format("{} is {}, not the absolute path of a socket", from, quote(text)), kForm);
  return {std::string(path), from};
}

bool is_socket(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode);
}

}  // namespace

bool Tcp::is_loopback() const {
  if (host == "localhost" || host == "::1") return true;
  const auto address = Ipv4::parse(host);
  return address && address->is_loopback();
}

std::string Tcp::url() const {
  return fmt::format("http{}://{}:{}", tls ? "s" : "", with_brackets(host), port);
}

std::string Address::text() const {
  if (ssh) return ssh->text();
  if (!tcp) return socket;
  auto out = fmt::format("{}?tls={}", tcp_name(*tcp),
                         !tcp->tls          ? "none"
                         : tcp->tls->verify ? "verified"
                                            : "unverified");
  if (!tcp->tls) return out;
  for (const auto& [key, path] :
       {std::pair{"ca", &tcp->tls->ca}, std::pair{"cert", &tcp->tls->cert}, std::pair{"key", &tcp->tls->key}})
    if (!path->empty()) out += fmt::format("&{}={}", key, query_value(*path));
  return out;
}

Address Address::recorded(std::string_view text, std::string from) {
  return parse(text, from, [] { return std::nullopt; });
}

Address Address::find(std::string_view explicit_address) {
  if (!explicit_address.empty()) return parse(explicit_address, "--engine", &tls_of_environment);
  if (const char* value = from_environment("DOCKER_HOST"))
    return parse(value, "DOCKER_HOST", &tls_of_environment);
  if (const auto choice = chosen_context()) {
    const auto context = read_context(*choice);
    return parse(context.host, fmt::format("context {}, by {}", choice->name, choice->by),
                 [&] { return context.tls; });
  }
  if (const char* value = from_environment(kContainerHost))
    return parse(value, kContainerHost, &tls_of_environment);

  // /var/run is no link to /run in every image.
  std::vector<std::string> usual{"/run/docker.sock", "/var/run/docker.sock", "/run/podman/podman.sock"};
  if (const char* runtime_dir = from_environment("XDG_RUNTIME_DIR"))
    for (const char* socket : {"/docker.sock", "/podman/podman.sock"})
      usual.push_back(std::string(runtime_dir) + socket);
  for (const auto& path : usual)
    if (is_socket(path)) return {path, "default"};
  const bool has_containerd = is_socket("/run/containerd/containerd.sock");
  throw Error(
      Errc::engine_unavailable,
      fmt::format("no container engine found: DOCKER_HOST and CONTAINER_HOST are not set, no context is in "
                  "use, and there is no socket at {}{}",
                  list_of(usual),
                  has_containerd ? "; containerd alone, as with nerdctl, has no such API" : ""),
      has_containerd ? "install Docker or Podman beside it, or use --bridge, which needs no engine"
                     : "start the engine, or set DOCKER_HOST to its socket");
}

}  // namespace hostnet::engine
