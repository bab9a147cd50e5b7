// The calls, and the API version that they use.
//
// Every engine answers /_ping without a version, and its headers name the newest version that it speaks. All
// other calls use that one, but none newer than was reviewed, or $DOCKER_API_VERSION (api_version.hpp). No
// fixed number works: Docker 20.10 ends at 1.41, Docker 29 begins at 1.44 (Podman accepts any). Paths without a
// version also mean the newest one, but Docker has long announced their removal. The few fields that we read
// are the same in all versions; the parsers report an error if that changes.
//
// States and events of a Client:
//
//   state    event                                            next
//   -------  -----------------------------------------------  ----------------------------------------------
//   new      first call: GET /_ping                           known: paths "/v1.41", "/v4.3.1/libpod"
//   new      another version than the engine's newest is     known, by the engine's oldest from /version if that
//            to be used: ping again with that one             ping is refused
//   new      /_ping gives 404                                 new; engine_error: not a container engine
//   new      any other error                                  new; the error; the next call pings again
//   known    any call                                         known, for the life of the Client
//   known    inspect gives conflict (Podman: the container's  known; asked again after kEnding, at most
//            process is just ending)                          kInspections times
//
// Timeouts: each call takes the caller's deadline, /_ping included.
//
//   kEnding         20 ms       pause before an inspection is repeated
//   kInspections    10          inspections of one container, in one call
#include "engine/client.hpp"

#include "core/log.hpp"
#include "engine/api_version.hpp"
#include "engine/events.hpp"
#include "engine/own_container.hpp"
#include "engine/parse.hpp"
#include "engine/transport.hpp"
#include "engine/url.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <thread>

namespace hostnet::engine {
namespace {

constexpr int kInspections = 10;
// How long Podman takes to notice that a process has ended.
constexpr std::chrono::milliseconds kEnding{20};

// A network that Podman does not list as a bridge gets no interface name and no DNS.
void complete(Network& network, const std::map<std::string, LibpodBridge>& bridges) {
  const auto found = bridges.find(network.id);
  const auto bridge = found == bridges.end() ? LibpodBridge{} : found->second;
  network.bridge = bridge.interface;
  network.dns = bridge.dns;
}

// The engine's oldest version, if it refuses this one as too old; empty otherwise, and where a proxy lets
// nothing through that would tell. It is only in GET /version, which costs Docker tens of milliseconds, since
// it starts programs.
std::string least_if_refused(Transport& transport, const std::string& version, Deadline deadline) {
  const auto asks_in_vain = [](const Error& error) {
    return error.code() == Errc::engine_error || error.code() == Errc::not_found;
  };
  try {
    transport.get(fmt::format("/v{}/_ping", version), deadline);
    return {};
  } catch (const Error& error) {
    if (!asks_in_vain(error)) throw;
    log::debug("API version {}: {}", version, error.what());
  }
  try {
    return parsed(transport.get("/version", deadline), least_api_version);
  } catch (const Error& error) {
    if (!asks_in_vain(error)) throw;
    return {};
  }
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
      // Every engine has /_ping, so this 404 is not about an unknown name.
      throw Error(Errc::engine_error,
                  fmt::format("{}: the answer is not from a container engine", error.what()));
    }
  }();
  const char* const wanted = std::getenv("DOCKER_API_VERSION");
  auto version = api_version(answer.api_version, wanted != nullptr ? wanted : "");
  if (version != answer.api_version)
    if (const auto least = least_if_refused(*transport_, version, deadline); !least.empty())
      version = api_version(answer.api_version, wanted != nullptr ? wanted : "", least);
  dialect_ = Dialect{
      .docker = version.empty() ? "" : "/v" + version,
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
    // By id: the compatible API calls the default network "bridge", Podman's own API calls it "podman".
    const auto path = fmt::format("{}/networks/{}/json", libpod, path_segment(network.id));
    complete(network, fetch(path, deadline, parse_libpod_bridges));
  }
  network.command = command(deadline);
  return network;
}

std::vector<Network> Client::networks(Deadline deadline) {
  const auto& [docker, libpod] = dialect(deadline);
  auto networks = fetch(docker + "/networks", deadline, parse_networks);
  if (!libpod.empty()) {
    const auto bridges = fetch(libpod + "/networks/json", deadline, parse_libpod_bridges);
    for (auto& network : networks) complete(network, bridges);
  }
  for (auto& network : networks) network.command = command(deadline);
  return networks;
}

// Podman answers with a conflict if the container's process ends during the call. The next call sees the end.
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
  auto container = parsed(inspect(name_or_id, deadline), parse_container);
  container.command = command(deadline);
  return container;
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
  if (address_.ssh) return "which is on another machine";
  if (address_.tcp) return "which is not known to be on this machine";
  dialect(deadline);  // connects
  if (!transport_->fault().empty())
    return fmt::format("which may be another user's ({})", transport_->fault());
  if (const auto& own = own_container(deadline); own && !own->same_pids)
    return fmt::format("which runs this program in its container {}, with process ids of its own", own->name);
  return std::nullopt;
}

const std::optional<OwnContainer>& Client::own_container(Deadline deadline) {
  if (!own_container_) own_container_ = find_own_container(*this, deadline);
  return *own_container_;
}

bool Client::is_roots(Deadline deadline) {
  if (!address_.is_unix()) return false;
  dialect(deadline);
  return transport_->is_roots();
}

bool Client::is_rootless(Deadline deadline) {
  return fetch(dialect(deadline).docker + "/info", deadline, parse_is_rootless);
}

bool Client::has_selinux(Deadline deadline) {
  return fetch(dialect(deadline).docker + "/info", deadline, parse_has_selinux);
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
