// Maps errno, libcurl's codes and HTTP status to errors.
#include "engine/transport_error.hpp"

#include "core/log.hpp"
#include "core/strings.hpp"
#include "engine/parse.hpp"
#include "engine/url.hpp"

#include <fmt/format.h>
#include <grp.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace hostnet::engine {
namespace {

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

// Docker redirects a path that its router would normalise ("..", "//"). Ours are such paths only through a
// percent-encoded name, which no resource has, and the redirect leads to another resource.
bool is_redirect(long status) { return status >= 300 && status < 400; }

// The hint for Podman 4.3's `getting container from store "ID": container not known`; empty for any other
// words. It has a container in one of its two records only (docs/engines.md), and no listing succeeds until
// that one is removed. A person does that: what an error names need not be ours. Another text than an id does
// not get into a command line that people copy.
std::string mending(std::string_view said) {
  constexpr std::string_view before = "getting container from store \"";
  constexpr std::string_view after = "\": container not known";
  const auto start = said.find(before);
  if (start == std::string_view::npos) return {};
  said.remove_prefix(start + before.size());
  const auto id = said.substr(0, said.find('"'));
  if (!looks_like_id(id) || !said.substr(id.size()).starts_with(after)) return {};
  return fmt::format("Podman has it in one of its two records only; remove it by hand: podman rm -f {}", id);
}

Errc code_of(const Response& answer) {
  if (answer.status == 404 || is_redirect(answer.status)) return Errc::not_found;
  if (answer.status == 409) return Errc::conflict;
  // Podman 4.3 reports these as its own failure (500). The cause tells them apart.
  static constexpr std::array<std::pair<std::string_view, Errc>, 5> causes{{
      {"container state improper", Errc::conflict},
      {"network not found", Errc::not_found},
      {"no such container", Errc::not_found},  // it goes during an inspection
      {"that name is already in use", Errc::conflict},
      {"no such process", Errc::conflict},  // the container ends during an inspection
  }};
  const auto given = parse_error_cause(answer.body);
  for (const auto& [cause, code] : causes)
    if (cause == given) return code;
  // Docker reports its own failure (500) if a container ends between the creation of an exec and its start.
  const auto message = parse_error_message(answer.body);
  if (message.starts_with("Container ") && message.find(" is not running") != std::string::npos)
    return Errc::conflict;
  return Errc::engine_error;
}

// By libcurl's code alone.
Error unclear_failure(const std::string& call, CURLcode code, std::string_view why) {
  switch (code) {
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
      return broken_off(call);
    case CURLE_UNSUPPORTED_PROTOCOL:  // HTTP/0.9
    case CURLE_WEIRD_SERVER_REPLY:
      return {Errc::engine_error, fmt::format("{}: what answers there does not speak HTTP", call),
              "see what listens there, or name the engine's socket with --engine"};
    default:
      return {Errc::engine_error, fmt::format("{}: {}", call, why)};
  }
}

}  // namespace

Error connect_error(const Address& address, int cause) {
  // libcurl reports no errno when the listener's queue is full, as a hung engine's becomes in the end.
  const auto why = cause != 0     ? std::generic_category().message(cause)
                   : !address.tcp ? "it takes no more connections"
                                  : "the connection fails";
  if (cause == EACCES || cause == EPERM) {
    const auto group = owning_group(address.socket);
    return {Errc::not_authorised,
            fmt::format("the container engine's socket {} ({}) cannot be opened: {}", address.socket,
                        address.from, why),
            group.empty() || group == "root"
                ? "run it as root, or join the group that owns the socket"
                : fmt::format("run it as root, or join the group that owns the socket, {}", group),
            cause};
  }
  if (address.tcp)
    return {Errc::engine_unavailable,
            fmt::format("no container engine answers on {} ({}): {}", address.socket, address.from, why),
            "check that it listens there (dockerd -H tcp://…) and the port: usually 2375 is plain, 2376 TLS",
            cause};
  return {Errc::engine_unavailable,
          fmt::format("no container engine answers on {} ({}): {}", address.socket, address.from, why),
          "start the engine, or set DOCKER_HOST to the socket of one that runs", cause};
}

HungUp::HungUp(const Address& address)
    : Error(Errc::engine_unavailable,
            fmt::format("no container engine answers at {} on {} ({}): the connection through ssh ends "
                        "without an answer",
                        address.ssh->path, address.socket, address.from),
            "see whether it runs there, and whether that user may open its socket") {}

Error broken_off(const std::string& call) {
  return {Errc::engine_error,
          fmt::format("{}: the container engine closed the connection before the end of its answer", call),
          "see whether it runs: docker info, or journalctl -u docker"};
}

Error transfer_error(const Address& address, const std::string& call, CURLcode code, std::string_view detail,
                     int cause) {
  if (code == CURLE_COULDNT_CONNECT) return connect_error(address, cause);
  const auto why = detail.empty() ? std::string(Curl::get().curl_easy_strerror(code)) : one_line(detail, 200);
  if (!address.tcp) return unclear_failure(call, code, Curl::get().curl_easy_strerror(code));
  const auto where = fmt::format("the container engine at {} ({})", address.socket, address.from);
  const auto says = [&](std::string_view part) { return why.find(part) != std::string::npos; };
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return {Errc::engine_unavailable,
              fmt::format("{}: the name {} does not resolve", where, quote(address.tcp->host)),
              "check the spelling: getent hosts " + shell_word(address.tcp->host)};
    case CURLE_OPERATION_TIMEDOUT:
      return {Errc::timed_out, fmt::format("{} did not answer in time", where),
              "check that the machine is up and that no firewall blocks the port"};
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
      return {Errc::engine_unavailable,
              fmt::format("{}: our own certificates cannot be used: {}", where, why),
              "check ca.pem, cert.pem and key.pem in DOCKER_CERT_PATH or in the context"};
    case CURLE_PEER_FAILED_VERIFICATION:
      // With both TLS libraries of libcurl; its words for the name differ between versions.
      if (says("certificate subject name"))
        return {Errc::engine_unavailable,
                fmt::format("{} has a certificate for another name: {}", where, why),
                "name the engine as its certificate does: openssl x509 -noout -ext subjectAltName"};
      return {Errc::engine_unavailable,
              fmt::format("{} has a certificate that is not trusted: {}", where, why),
              "give the authority that signed it as ca.pem, in DOCKER_CERT_PATH or in the context"};
    default:
      break;
  }
  // OpenSSL's words, and GnuTLS's. An alert about our certificate comes after we accepted the engine's; with
  // TLS 1.3 only as the answer to the first request.
  const bool sent_ours = address.tcp->tls && !address.tcp->tls->cert.empty();
  if (says("ertificate required") || says("ertificate is required") || says("alert bad certificate") ||
      says("ertificate is bad") || says("alert unknown ca") || says("CA is unknown"))
    return {Errc::not_authorised,
            sent_ours ? fmt::format("{} does not accept our client certificate: {}", where, why)
                      : fmt::format("{} requires a client certificate: {}", where, why),
            sent_ours ? "have cert.pem signed by the authority that the engine trusts (dockerd --tlscacert)"
                      : "put cert.pem and key.pem beside ca.pem, in DOCKER_CERT_PATH or in the context"};
  if (says("wrong version number") || says("unexpected TLS packet") || says("packet length too long"))
    return {Errc::engine_unavailable, fmt::format("{} does not speak TLS there: {}", where, why),
            "use its TLS port, usually 2376; for plain HTTP unset DOCKER_TLS_VERIFY and DOCKER_CERT_PATH"};
  if (code == CURLE_SSL_CONNECT_ERROR)
    return {Errc::engine_unavailable, fmt::format("{}: TLS fails: {}", where, why),
            "try it by hand: openssl s_client -connect HOST:PORT"};
  return unclear_failure(call, code, why);
}

void check_speaks_plainly(const Address& address, const Response& answer) {
  // The words of Go's HTTP server.
  if (!address.tcp || address.tcp->tls || answer.status != 400 ||
      answer.body.find("HTTP request to an HTTPS server") == std::string::npos)
    return;
  throw Error(
      Errc::engine_unavailable,
      fmt::format("the container engine at {} ({}) wants TLS, but the request was plain HTTP", address.socket,
                  address.from),
      "set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the folder with ca.pem, cert.pem and key.pem");
}

bool is_success(long status) { return (status >= 200 && status < 300) || status == 304; }

void check_status(const Response& answer) {
  if (is_success(answer.status)) return;
  const auto code = code_of(answer);
  const auto message = is_redirect(answer.status) ? "" : parse_error_message(answer.body);
  if (code != Errc::engine_error && !message.empty()) throw Error(code, message);
  if (code == Errc::not_found) throw Error(code, fmt::format("{}: not found", answer.call));
  log::debug("{}: HTTP status {}: {}", answer.call, answer.status, message);
  throw Error(code,
              message.empty()
                  ? fmt::format("the container engine fails without a reason: {} gives HTTP status {}",
                                answer.call, answer.status)
                  : fmt::format("the container engine says: {}", message),
              mending(message));
}

}  // namespace hostnet::engine
