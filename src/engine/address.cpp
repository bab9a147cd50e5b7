// Finding the engine's socket.
#include "core/strings.hpp"
#include "engine/client.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cstdlib>
#include <vector>

namespace hostnet::engine {
namespace {

constexpr const char* kForm = "give unix:///path/to/engine.sock";

Address parse(std::string_view text, const char* from) {
  std::string_view path = text;
  if (const auto colon = text.find("://"); colon != std::string_view::npos) {
    const auto scheme = text.substr(0, colon);
    for (const std::string_view remote : {"tcp", "ssh", "http", "https"})
      if (scheme == remote)
        throw Error(
            Errc::engine_unavailable,
            fmt::format("{} is {}, an engine elsewhere: only one on this machine's Unix socket can be served",
                        from, quote(text)),
            kForm);
    if (scheme != "unix")
      throw Error(Errc::invalid_argument,
                  fmt::format("{} is {}: unknown scheme {}", from, quote(text), quote(scheme)), kForm);
    path = text.substr(colon + 3);
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

const char* from_environment(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

}  // namespace

Address Address::find(std::string_view explicit_address) {
  if (!explicit_address.empty()) return parse(explicit_address, "--engine");
  for (const char* variable : {"DOCKER_HOST", "CONTAINER_HOST"})
    if (const char* value = from_environment(variable)) return parse(value, variable);

  std::vector<std::string> usual{"/run/docker.sock", "/run/podman/podman.sock"};
  if (const char* runtime_dir = from_environment("XDG_RUNTIME_DIR"))
    for (const char* socket : {"/docker.sock", "/podman/podman.sock"})
      usual.push_back(std::string(runtime_dir) + socket);
  for (const auto& path : usual)
    if (is_socket(path)) return {path, "default"};
  throw Error(
      Errc::engine_unavailable,
      fmt::format("no container engine found: DOCKER_HOST and CONTAINER_HOST are not set, and there is no "
                  "socket at {}",
                  list_of(usual)),
      "start the engine, or set DOCKER_HOST to its socket");
}

}  // namespace hostnet::engine
