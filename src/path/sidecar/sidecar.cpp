// Creates, finds, dials and removes a sidecar.
#include "path/sidecar/sidecar.hpp"

#include "core/log.hpp"
#include "core/strings.hpp"
#include "engine/parse.hpp"
#include "engine/ssh_link.hpp"
#include "hostnet/error.hpp"
#include "lease/container_alias.hpp"
#include "path/sidecar/dial.hpp"
#include "path/sidecar/own_labels.hpp"
#include "path/sidecar/plan.hpp"
#include "path/sidecar/sshd.hpp"
#include "target/alias_holders.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hostnet::exposer {
namespace {

using std::chrono::seconds;

constexpr seconds kRemoval{10};
constexpr seconds kForwardPatience{2};

}  // namespace

Sidecar::Sidecar(const engine::Address& engine, const engine::ContainerSpec& spec, Deadline deadline)
    : engine_(engine), published_(!spec.ports.empty()) {
  auto begin = Deadline::Clock::now();
  create(spec, deadline);
  times_.create = elapsed_since(begin);
  try {
    begin = Deadline::Clock::now();
    engine::Client client(engine_);
    engine::Containers containers(client);
    try {
      containers.start(id_, deadline);
    } catch (const Error& error) {
      throw error.in_context("sidecar start");
    }
    times_.start = elapsed_since(begin);
    begin = Deadline::Clock::now();
    place_ = look(deadline);
    times_.look = elapsed_since(begin);
  } catch (...) {
    remove_or_log();
    throw;
  }
}

Sidecar::~Sidecar() {
  if (!unanswered_) remove_or_log();
}

void Sidecar::remove_or_log() noexcept {
  try {
    remove(Deadline::after(kRemoval));
  } catch (const std::exception& error) {
    log::error("sidecar {}: {}", id_, error.what());
  }
}

void Sidecar::create(const engine::ContainerSpec& spec, Deadline deadline) {
  engine::Client client(engine_);
  try {
    id_ = engine::Containers(client).create(spec, deadline);
  } catch (const Error& error) {
    throw error.in_context("sidecar create");
  }
}

SidecarPlace Sidecar::look(Deadline deadline) const {
  engine::Client client(engine_);
  const auto container = client.container(id_, deadline);
  if (!container.running) throw Error(Errc::failure, "sidecar start: the sidecar ended at once");
  SidecarPlace place;
  // It is on one network, whose name here differs between engines.
  for (const auto& endpoint : container.endpoints)
    if (place.addresses.empty()) place.addresses = endpoint.addresses();
  if (place.addresses.empty())
    throw Error(Errc::engine_error, "sidecar start: the engine gave it no address");
  place.sshd = {place.address(), ssh::kPort};
  if (published_) {
    const auto port = std::ranges::find(container.ports, ssh::kPort, &engine::PublishedPort::container);
    if (port == container.ports.end() || port->host == 0)
      throw Error(Errc::engine_error, "sidecar start: the engine did not publish its port");
    place.sshd = {published_at(client), port->host};
  }
  return place;
}

// The address of the machine that publishes the port.
Ipv4 Sidecar::published_at(const engine::Client& client) const {
  // Behind a login it is that machine's own, to which ssh leads.
  if (!engine_.tcp || engine_.tcp->is_loopback()) return Ipv4::parse("127.0.0.1").value();
  // The address that the engine has just answered from; its name may have several.
  if (const auto peer = client.peer()) return *peer;
  throw Error(Errc::no_path,
              fmt::format("the engine at {} is reached by IPv6, and its sidecars are dialled by IPv4 only",
                          engine_.socket),
              "name the engine by a host name or address that leads to it by IPv4");
}

// Another cause that may keep us from a running sidecar.
std::string Sidecar::hint() const {
  if (!published_ || !engine_.tcp) return {};
  if (engine_.tcp->is_loopback())
    return fmt::format(
        "if {} is the end of a tunnel to another machine, its sidecars cannot be reached: name "
        "that machine itself, tcp:// with TLS",
        engine_.socket);
  return fmt::format("let the firewall of {} admit this machine to the ports that the engine publishes",
                     engine_.tcp->host);
}

SidecarPlace Sidecar::place() const {
  const std::lock_guard lock(mutex_);
  return place_;
}

Fd Sidecar::dial(Deadline deadline) {
  IpEndpoint sshd;
  {
    const std::lock_guard lock(mutex_);
    sshd = place_.sshd;
  }
  const auto still_there = [&] {
    listen_to_it();
    const auto now = look(deadline);
    const std::lock_guard lock(mutex_);
    const bool moved = now.sshd != sshd;
    place_ = now;
    if (moved) throw Error(Errc::timed_out, "the sidecar has moved to another address");
  };
  try {
    if (!engine_.ssh) return ssh::dial_sshd(sshd, deadline, still_there);
    const auto link = engine::SshLink::to(engine_);
    // Where one logs in need not be where the engine publishes ports: a container with its socket, for example. The
    // sidecar's sshd needs less than that to start.
    const auto patience = Deadline::after(kForwardPatience);
    const auto connect = [&](Deadline limit) {
      const bool inside = patience.expired() || link->goes_by_command(limit);
      return inside ? link->dial_inside(id_, limit) : link->dial(sshd, limit);
    };
    return ssh::dial_sshd(fmt::format("{} on {}", sshd.to_string(), engine_.socket), connect, deadline,
                          still_there);
  } catch (const Error& error) {
    if (error.code() == Errc::not_found) throw Error(Errc::not_found, "the sidecar was removed");
    if (error.code() == Errc::timed_out && error.hint().empty())
      throw Error(Errc::timed_out, error.what(), hint(), error.sys_errno());
    throw;
  }
}

void Sidecar::permit(const std::string& authorized_key, Deadline deadline) {
  engine::Client client(engine_);
  engine::ExecSpec spec;
  spec.command = {"sh", "-c", ssh::permit_command()};
  spec.environment = {"TC_HOSTNET_AUTHORIZED_KEY=" + authorized_key};
  const auto done = engine::Containers(client).exec(id_, spec, deadline);
  if (done.exit_code != 0)
    throw Error(Errc::engine_error,
                fmt::format("sidecar: cannot add a key: {}", engine::one_line(done.err, 200)));
}

std::string Sidecar::last_words() noexcept {
  listen_to_it();
  const std::lock_guard lock(mutex_);
  return words_;
}

void Sidecar::listen_to_it() noexcept {
  try {
    engine::Client client(engine_);
    engine::Containers containers(client);
    const auto output = containers.last_output(id_, 5, Deadline::after(seconds{2}));
    std::string said;
    for (const auto line : split(output, '\n'))
      if (const auto text = trim(line); !text.empty())
        said += fmt::format("{}{}", said.empty() ? "" : " | ", text);
    const std::lock_guard lock(mutex_);
    if (!said.empty()) words_ = std::move(said);
  } catch (const std::exception&) {
    // Most likely it is gone: keep its earlier output.
  }
}

void Sidecar::remove(Deadline deadline) {
  {
    const std::lock_guard lock(mutex_);
    if (removed_ || id_.empty()) return;
  }
  engine::Client client(engine_);
  try {
    engine::Containers(client).remove(id_, deadline);
  } catch (const Error& error) {
    const std::lock_guard lock(mutex_);
    unanswered_ = error.code() == Errc::timed_out;
    throw;
  }
  IpEndpoint sshd;
  {
    const std::lock_guard lock(mutex_);
    removed_ = true;
    sshd = place_.sshd;
  }
  if (engine_.ssh) engine::SshLink::to(engine_)->forget(sshd);
}

void fetch_image(engine::Containers& containers, const std::string& image, Deadline deadline) {
  // A warning, because it explains the delay.
  log::warn("image {} is not here: pulling it", image);
  try {
    containers.pull(
        image, [](std::string_view line) { log::info("{}", line); }, deadline);
  } catch (const Error& error) {
    const auto what =
        fmt::format("sidecar image: {} is not here and cannot be pulled: {}", image, error.what());
    const auto hint =
        error.hint().empty()
            ? "load it into the engine, or name another image in TESTCONTAINERS_SSHD_CONTAINER_IMAGE"
            : error.hint() + "; TESTCONTAINERS_SSHD_CONTAINER_IMAGE names another image";
    if (error.code() == Errc::timed_out) throw Error(Errc::timed_out, what, hint);
    throw NoSidecarImage(Errc::not_found, what, hint);
  }
}

void log_unlisted(const Error& error) {
  if (error.code() == Errc::engine_error && !error.hint().empty())
    log::warn("cannot list the resources of dead owners: {}; {}", error.what(), error.hint());
  else
    log::debug("listing the resources of dead owners: {}", error.what());
}

void remove_orphans(engine::Client& client, Deadline deadline) noexcept {
  try {
    engine::Containers containers(client);
    for (const auto& container : containers.list({kOwnerLabel}, deadline)) {
      const auto owner = container.labels.find(kOwnerLabel);
      if (owner == container.labels.end() || !owner_has_ended(owner->second)) continue;
      if (!was_created_with(client, container.id, kOwnerLabel, owner->second, deadline)) continue;
      log::info("removing container {}, whose owner has died", container.name);
      containers.remove(container.id, deadline);
      // Its lease's record may be another user's, who alone can remove the rest by it.
      if (const auto holder = alias_holder(container.labels); !holder.container.empty())
        remove_container_alias(client, holder.container, holder.lease, deadline);
    }
  } catch (const Error& error) {
    log_unlisted(error);
  } catch (const std::exception& error) {
    log::debug("listing the resources of dead owners: {}", error.what());
  }
}

void remove_recorded_sidecar(engine::Client& client, const std::string& sidecar, const std::string& lease,
                             Deadline deadline) {
  if (sidecar.empty()) return;
  try {
    const auto container = client.container(sidecar, deadline);
    const auto labels = labels_of_creation(client, container, deadline);
    const auto label = labels.find(kLeaseLabel);
    if (label != labels.end() && label->second == lease)
      engine::Containers(client).remove(container.id, deadline);
    else
      log::warn("lease {}: container {} was not created as its sidecar, and is left alone", lease,
                container.name);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
  }
}

}  // namespace hostnet::exposer
