// The mapping from errno and HTTP status to errors.
#include "engine/transport_error.hpp"

#include "engine/parse.hpp"

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

// Docker answers a path that its router would write otherwise ("..", "//") by a redirect to that. Ours are so
// only by a name with such parts, percent-encoded; nothing bears one, and where the redirect leads is another
// resource.
bool is_redirect(long status) { return status >= 300 && status < 400; }

Errc code_of(const Response& answer) {
  if (answer.status == 404 || is_redirect(answer.status)) return Errc::not_found;
  if (answer.status == 409) return Errc::conflict;
  // What Podman 4.3 calls its own failure (500), and names by these texts.
  static constexpr std::array<std::pair<std::string_view, Errc>, 3> causes{{
      {"container state improper", Errc::conflict},
      {"network not found", Errc::not_found},
      {"that name is already in use", Errc::conflict},
  }};
  const auto told = parse_error_cause(answer.body);
  for (const auto& [cause, code] : causes)
    if (cause == told) return code;
  return Errc::engine_error;
}

}  // namespace

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

bool is_success(long status) { return (status >= 200 && status < 300) || status == 304; }

void check_status(const Response& answer) {
  if (is_success(answer.status)) return;
  const auto code = code_of(answer);
  const auto message = is_redirect(answer.status) ? "" : parse_error_message(answer.body);
  if (code != Errc::engine_error && !message.empty()) throw Error(code, message);
  if (code == Errc::not_found) throw Error(code, fmt::format("{}: there is no such thing", answer.call));
  throw Error(code, fmt::format("{}: HTTP status {}{}{}", answer.call, answer.status,
                                message.empty() ? "" : ": ", message));
}

}  // namespace hostnet::engine
