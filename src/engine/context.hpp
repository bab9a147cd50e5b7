// Contexts of the docker command: engines by name, in the user's files.
//
//   config.json                      `currentContext` is the context in use
//   contexts/meta/DIGEST/meta.json   describes one context
//   contexts/tls/DIGEST/docker       holds its certificates
//
// All are in $DOCKER_CONFIG, else in ~/.docker. DIGEST is the SHA-256 of the context's name. We do not
// compute it, but look for the meta.json with that name.
#pragma once

#include "engine/address.hpp"

#include <filesystem>
#include <optional>
#include <string>

namespace hostnet::engine {

/// $DOCKER_CONFIG, else ~/.docker; empty if neither is known.
std::filesystem::path docker_folder();

/// The files of ca.pem, cert.pem and key.pem that `folder` has; nullopt without any certificate.
/// @throws Error{engine_unavailable} for a certificate without its key, or a key without its certificate.
std::optional<Tls> certificates_in(const std::filesystem::path& folder);

/// The context in use.
struct ContextChoice {
  std::string name;
  std::string by;  ///< What selects it, for messages: "DOCKER_CONTEXT", "/root/.docker/config.json".
};

/// $DOCKER_CONTEXT, else config.json's choice; nullopt for none and for "default", which means none. An
/// unreadable config.json selects none, as in docker, and logs a warning.
std::optional<ContextChoice> chosen_context();

/// A context's description of its engine.
struct Context {
  std::string host;        ///< "unix:///path", "tcp://host:port", …
  std::optional<Tls> tls;  ///< For a host on the network.
};

/// @throws Error: not_found for an unknown context, engine_unavailable when it names no Docker engine or its
/// file is invalid.
Context read_context(const ContextChoice& choice);

}  // namespace hostnet::engine
