// The calls, and which of the engines' API versions they are made in.
//
// Every engine answers /_ping without a version and names in its headers the newest version it speaks; that
// one is used for the rest. A fixed number would not do: Docker 20.10 ends at 1.41 and Docker 29 begins
// at 1.44 (Podman takes any). Nor would paths without a version, which mean the newest as well but which
// Docker has long said it will drop. The few fields read here have been the same in all of them, and the
// parsers notice should that change.
#include "engine/client.hpp"

#include "engine/events.hpp"
#include "engine/parse.hpp"
#include "engine/transport.hpp"
#include "engine/url.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <chrono>
#include <thread>

namespace hostnet::engine {
namespace {

constexpr int kInspections = 10;
// Which a process takes from its end to the engine's knowing of it.
constexpr std::chrono::milliseconds kEnding{20};

// Of what is no bridge to Podman, nothing is known of one.
void complete(Network& network, const std::map<std::string, LibpodBridge>& bridges) {
  const auto found = bridges.find(network.id);
  const auto bridge = found == bridges.end() ? LibpodBridge{} : found->second;
  network.bridge = bridge.interface;
  network.dns = bridge.dns;
}

}  // namespace

Client::Client(Address address)
    : address_(std::move(address)), transport_(std::make_unique<Transport>(address_)) {}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

std::optional<Ipv4> Client::peer() const { return transport_->peer(); }

void Client::ping(Deadline deadline) {
  const auto answer = [&] {
    try {
      return transport_->get("/_ping", deadline);
    } catch (const Error& error) {
      if (error.code() != Errc::not_found) throw;
      // Not a name that is unknown: every engine has this one.
      throw Error(Errc::engine_error, fmt::format("{}: what answers is no container engine", error.what()));
    }
  }();
  dialect_ = Dialect{
      .docker = answer.api_version.empty() ? "" : "/v" + answer.api_version,
      .libpod = answer.libpod_version.empty() ? "" : fmt::format("/v{}/libpod", answer.libpod_version),
  };
}

const Client::Dialect& Client::dialect(Deadline deadline) {
  if (!dialect_) ping(deadline);
  return *dialect_;
}

template <class Parser>
auto Client::fetch(const std::string& path, Deadline deadline, Parser parse) {
  return parsed(transport_->get(path, deadline), parse);
}

Version Client::version(Deadline deadline) {
  return fetch(dialect(deadline).docker + "/version", deadline, parse_version);
}

Network Client::network(std::string_view name_or_id, Deadline deadline) {
  const auto& [docker, libpod] = dialect(deadline);
  auto network =
      fetch(fmt::format("{}/networks/{}", docker, path_segment(name_or_id)), deadline, parse_network);
  if (!libpod.empty() && network.driver == "bridge") {
    // By id: the compatible API knows the default network as "bridge", Podman's own only as "podman".
    const auto path = fmt::format("{}/networks/{}/json", libpod, path_segment(network.id));
    complete(network, fetch(path, deadline, parse_libpod_bridges));
  }
  return network;
}

std::vector<Network> Client::networks(Deadline deadline) {
  const auto& [docker, libpod] = dialect(deadline);
  auto networks = fetch(docker + "/networks", deadline, parse_networks);
  if (!libpod.empty()) {
    const auto bridges = fetch(libpod + "/networks/json", deadline, parse_libpod_bridges);
    for (auto& network : networks) complete(network, bridges);
  }
  return networks;
}

// Podman fails when the container's process ends in the middle of the call; it has ended at the next.
Response Client::inspect(std::string_view name_or_id, Deadline deadline) {
  const auto path = fmt::format("{}/containers/{}/json", dialect(deadline).docker, path_segment(name_or_id));
  for (int attempt = 1;; ++attempt) {
    try {
      return transport_->get(path, deadline);
    } catch (const Error& error) {
      if (error.code() != Errc::conflict || attempt == kInspections || deadline.expired()) throw;
    }
    std::this_thread::sleep_for(kEnding);
  }
}

Container Client::container(std::string_view name_or_id, Deadline deadline) {
  return parsed(inspect(name_or_id, deadline), parse_container);
}

std::string Client::container_json(std::string_view name_or_id, Deadline deadline) {
  return inspect(name_or_id, deadline).body;
}

EventStream Client::events(std::int64_t since, Deadline deadline) {
  return {address_, dialect(deadline).docker, since, deadline};
}

std::map<std::string, std::string> Client::image_labels(std::string_view name_or_id, Deadline deadline) {
  const auto path = fmt::format("{}/images/{}/json", dialect(deadline).docker, path_segment(name_or_id));
  return fetch(path, deadline, parse_image_labels);
}

std::optional<std::string> Client::why_remote(Deadline deadline) {
  if (address_.tcp) return "which is not known to be on this machine";
  dialect(deadline);  // it has been connected to then
  if (transport_->fault().empty()) return std::nullopt;
  return fmt::format("which may be another user's ({})", transport_->fault());
}

bool Client::is_roots(Deadline deadline) {
  if (address_.tcp) return false;
  dialect(deadline);
  return transport_->is_roots();
}

bool Client::is_rootless(Deadline deadline) {
  return fetch(dialect(deadline).docker + "/info", deadline, parse_is_rootless);
}

std::optional<Ipv4> Client::host_gateway(Deadline deadline) {
  const char* const default_network = dialect(deadline).libpod.empty() ? "bridge" : "podman";
  try {
    return network(default_network, deadline).gateway;
  } catch (const Error& error) {
    if (error.code() == Errc::not_found) return std::nullopt;
    throw;
  }
}

}  // namespace hostnet::engine
