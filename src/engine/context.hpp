// The docker command's contexts: named engines, in files of the user's.
//
// $DOCKER_CONFIG, or else ~/.docker, holds config.json, whose `currentContext` names the context in use;
// contexts/meta/DIGEST/meta.json describes one, and contexts/tls/DIGEST/docker holds its certificates. DIGEST
// is the SHA-256 of the name. It is never computed here: the right folder is the one whose meta.json gives
// the name.
#pragma once

#include "engine/address.hpp"

#include <filesystem>
#include <optional>
#include <string>

namespace hostnet::engine {

/// $DOCKER_CONFIG, else ~/.docker; empty where neither is known.
std::filesystem::path docker_folder();

/// ca.pem, cert.pem and key.pem as far as `folder` has them; nullopt when it has none of them.
/// @throws Error{engine_unavailable} for a certificate without its key, or the other way round.
std::optional<Tls> certificates_in(const std::filesystem::path& folder);

/// Which context is in use.
struct ContextChoice {
  std::string name;
  std::string by;  ///< What names it, for messages: "DOCKER_CONTEXT", "/root/.docker/config.json".
};

/// $DOCKER_CONTEXT, else config.json's; nullopt for none and for "default", which means none. A config.json
/// that cannot be read counts as one that names none, as for docker; a warning goes to the log.
std::optional<ContextChoice> chosen_context();

/// What a context says of its engine.
struct Context {
  std::string host;        ///< "unix:///path", "tcp://host:port", …
  std::optional<Tls> tls;  ///< For a host on the network.
};

/// @throws Error: not_found when there is no such context, engine_unavailable when it names no Docker engine
/// or cannot be read.
Context read_context(const ContextChoice& choice);

}  // namespace hostnet::engine
