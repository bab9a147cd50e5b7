// Rejects each mode with a hint.
#include "target/network_mode.hpp"

#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <string_view>

namespace hostnet::exposer {

bool runs_rootless(engine::Client& client, Deadline deadline) {
  // Only an engine that root did not start can be rootless; the check saves a question to the others.
  return !client.is_roots(deadline) && client.is_rootless(deadline);
}

void check_network_mode(engine::Client& client, const engine::Container& container, Deadline deadline) {
  const auto elsewhere = [&] {
    if (!client.address().is_unix()) return true;
    // Rootless Podman's host network is this machine's; rootless Docker's is RootlessKit's.
    if (runs_rootless(client, deadline)) return !client.is_podman(deadline);
    const auto& own = client.own_container(deadline);
    return client.why_remote(deadline).has_value() && !(own && own->host_network);
  };
  const bool own_loopback = container.network_mode == "host" && elsewhere();
  check_network_mode(container, own_loopback);
}

void check_network_mode(const engine::Container& container, bool own_loopback) {
  const auto refuse = [&](std::string_view why, std::string_view hint, Errc code = Errc::invalid_argument) {
    throw Error(code, fmt::format("container {} {}", container.name, why), std::string(hint));
  };
  if (container.network_mode == "host" && own_loopback)
    refuse("uses the network of its engine's host, whose 127.0.0.1 is not known to be this one",
           "start it on a bridge network: --network bridge");
  if (container.network_mode == "host")
    refuse("uses the host's network: it reaches 127.0.0.1 as it is", "dial 127.0.0.1 in the container");
  if (container.network_mode == "none")
    refuse("has no network", "start it on a network: --network bridge", Errc::no_path);
  if (container.network_mode.starts_with("container:"))
    refuse(fmt::format("shares the network of container {}",
                       quote(container.network_mode.substr(std::string_view("container:").size()))),
           "expose to that container instead");
  for (const std::string_view user_mode : {"slirp4netns", "pasta"})
    if (container.network_mode.starts_with(user_mode))
      refuse(fmt::format("is on {}, the default of rootless containers: it has no bridge, and no other "
                         "container can join it",
                         user_mode),
             "start it on a bridge network: podman network create web && podman run --network web …",
             Errc::no_path);
}

}  // namespace hostnet::exposer
