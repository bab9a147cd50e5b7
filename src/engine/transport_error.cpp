// The mapping from errno and HTTP status to errors.
#include "engine/transport_error.hpp"

#include "engine/parse.hpp"

#include <fmt/format.h>
#include <grp.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <system_error>

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
  const auto status = answer.status;
  if (is_success(status)) return;
  auto message = parse_error_message(answer.body);
  // Docker answers a path that its router would write otherwise ("..", "//") by a redirect to that. Ours are
  // so only by a name with such parts, percent-encoded; nothing bears one, and where the redirect leads is
  // another resource.
  if (status == 404 || (status >= 300 && status < 400))
    throw Error(Errc::not_found, status == 404 && !message.empty()
                                     ? message
                                     : fmt::format("{}: there is no such thing", answer.call));
  if (status == 409 && !message.empty()) throw Error(Errc::conflict, message);
  throw Error(status == 409 ? Errc::conflict : Errc::engine_error,
              message.empty() ? fmt::format("{}: HTTP status {}", answer.call, status)
                              : fmt::format("{}: HTTP status {}: {}", answer.call, status, message));
}

}  // namespace hostnet::engine
