// The user's login at an image registry, for a pull: as `docker login` and `podman login` have left it.
//
//   where                                                 first to last
//   $DOCKER_AUTH_CONFIG, the text of such a file          1
//   $DOCKER_CONFIG/config.json, else ~/.docker/…          2
//   $REGISTRY_AUTH_FILE                                   3
//   $XDG_RUNTIME_DIR/containers/auth.json                 4
//   ~/.config/containers/auth.json                        5
//
// The first that knows the registry counts. In each, credHelpers come before credsStore, and that before auths. A helper
// is a program docker-credential-NAME in $PATH (https://github.com/docker/docker-credential-helpers). A file counts only
// if nobody but root and this user could have written it: it may name a program to run.
//
// The secret goes to the engine, in a header, and into no message.
#pragma once

#include "core/deadline.hpp"
#include "core/json_reader.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::engine {

struct RegistryLogin {
  std::string user;
  std::string secret;
  std::string identity_token;  ///< Instead of both.

  bool operator==(const RegistryLogin&) const = default;
};

/// The registry of an image's name, HOST[:PORT]; "docker.io" for a name without one. Pure.
std::string registry_of(std::string_view reference);

/// What one file says of an image's registry.
struct LoginSource {
  std::optional<RegistryLogin> login;  ///< By auths.
  std::string helper;                  ///< NAME of docker-credential-NAME; comes first. Empty: none.
};
/// Pure. A key of auths is a host, a host with a scheme and a path, or, as Podman writes it, a host with the beginning of
/// the image's path; the longest counts. @throws the reader's error for a member of the wrong type.
LoginSource login_in(const json::Reader& config, std::string_view reference);

/// The value of the header X-Registry-Auth (Engine API, "Authentication"). Pure.
std::string registry_header(const RegistryLogin& login, std::string_view registry);

/// That header for this user and image; empty without a login. Reads the files and runs the helper. What cannot be read
/// or fails gives a warning and no login: the image may be public.
std::string registry_auth(std::string_view reference, Deadline deadline);

}  // namespace hostnet::engine
