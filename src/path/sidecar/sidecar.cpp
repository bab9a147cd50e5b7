// Creates, finds, dials and removes a sidecar.
#include "path/sidecar/sidecar.hpp"

#include "core/apart.hpp"
#include "core/log.hpp"
#include "core/strings.hpp"
#include "engine/networks.hpp"
#include "engine/parse.hpp"
#include "engine/ssh_link.hpp"
#include "hostnet/error.hpp"
#include "lease/container_alias.hpp"
#include "path/sidecar/own_labels.hpp"
#include "path/sidecar/plan.hpp"
#include "path/sidecar/sshd.hpp"
#include "target/alias_holders.hpp"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <utility>

namespace hostnet::exposer {
namespace {

using std::chrono::seconds;

constexpr seconds kRemoval{10};
// A way without an answer delays the next one by this long; the last one, which costs most, by more.
constexpr std::chrono::milliseconds kHeadStart{250};
constexpr std::chrono::milliseconds kHeadStartOfExec{1'000};
constexpr seconds kNameLookup{2};

// The sidecar's sshd as the engine's machine sees it.
IpEndpoint forwarded(const DialCandidate& candidate) {
  return {Ip::parse(candidate.host).value(), candidate.port};
}

// Of a sidecar that is elsewhere by now, or gone.
void end_forwards(const engine::Address& engine, const std::vector<DialCandidate>& candidates,
                  Deadline deadline) {
  for (const auto& candidate : candidates)
    if (candidate.by == DialCandidate::By::forward)
      engine::SshLink::to(engine)->forget(forwarded(candidate), deadline);
}

// For $TESTCONTAINERS_HOST_OVERRIDE. A child asks: a name server may take its time.
std::optional<Ip> address_of(const std::string& host, Deadline deadline) {
  if (const auto address = Ip::parse(host)) return address;
  const auto lookup = [&](std::size_t) -> std::string {
    addrinfo wanted{};
    wanted.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (::getaddrinfo(host.c_str(), nullptr, &wanted, &found) != 0) return {};
    std::array<char, INET6_ADDRSTRLEN> text{};
    const int code = ::getnameinfo(found->ai_addr, found->ai_addrlen, text.data(), text.size(), nullptr, 0,
                                   NI_NUMERICHOST);
    ::freeaddrinfo(found);
    return code == 0 ? text.data() : "";
  };
  const auto answers = run_apart(1, lookup, deadline, kNameLookup);
  return answers.front() ? Ip::parse(*answers.front()) : std::nullopt;
}

}  // namespace

Sidecar::Sidecar(const engine::Address& engine, const engine::ContainerSpec& spec, SidecarReach reach,
                 Deadline deadline)
    : engine_(engine), reach_(std::move(reach)) {
  auto begin = Deadline::Clock::now();
  create(spec, deadline);
  times_.create = elapsed_since(begin);
  try {
    if (reach_.join) join_ours(deadline);
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

// A way more: without it the engine carries the sessions.
void Sidecar::join_ours(Deadline deadline) {
  engine::Client client(engine_);
  for (const auto& end : reach_.known.own->endpoints) {
    try {
      const auto network = client.network(end.network_id.empty() ? end.network : end.network_id, deadline);
      if (reach_.only_with_subnets && network.subnets.empty()) continue;
      engine::Networks(client).connect(network.id, id_, deadline);
      joined_ = network.subnets;
      return;
    } catch (const Error& error) {
      if (error.code() == Errc::timed_out) throw error.in_context("sidecar create");
      log::debug("the sidecar does not join network {}: {}", end.network, error.what());
    }
  }
}

SidecarPlace Sidecar::look(Deadline deadline) const {
  engine::Client client(engine_);
  const auto container = client.container(id_, deadline);
  if (!container.running) throw Error(Errc::failure, "sidecar start: the sidecar ended at once");
  SidecarPlace place;
  if (const auto* const end = end_on(container, reach_.network, reach_.known))
    place.addresses = end->addresses();
  if (place.addresses.empty())
    throw Error(Errc::engine_error, "sidecar start: the engine gave it no address");
  place.candidates = dial_candidates(reach_.known, engine_, client.peer(), reach_.network, container);
  return place;
}

// Another cause that may keep us from a running sidecar.
std::string Sidecar::hint() const {
  if (!engine_.tcp || engine_.tcp->is_loopback()) return {};
  return fmt::format("let the firewall of {} admit this machine to the ports that the engine publishes",
                     engine_.tcp->host);
}

SidecarPlace Sidecar::place() const {
  const std::lock_guard lock(mutex_);
  return place_;
}

std::optional<DialCandidate> Sidecar::dialled() const {
  const std::lock_guard lock(mutex_);
  return dialled_;
}

// What served last comes first, except the engine's command where the address is known to lead there: that one was only
// sooner, on a busy machine.
std::vector<DialCandidate> Sidecar::in_order() const {
  const std::lock_guard lock(mutex_);
  auto out = place_.candidates;
  const bool is_makeshift = dialled_ && dialled_->by == DialCandidate::By::exec && reach_.known.direct;
  if (dialled_ && !is_makeshift)
    std::stable_partition(out.begin(), out.end(), [&](const DialCandidate& one) { return one == *dialled_; });
  return out;
}

ssh::Stream Sidecar::run_session(Deadline deadline) {
  engine::ExecSpec spec;
  spec.command = ssh::session_command();
  auto session = std::make_shared<engine::ExecStream>(engine_, id_, std::move(spec), deadline);
  auto socket = session->take_socket();
  const std::lock_guard lock(mutex_);
  std::erase_if(sessions_, [](const auto& one) { return one->is_over(); });
  sessions_.push_back(session);
  return {std::move(socket), [session] { return session->words(); }};
}

ssh::Way Sidecar::way_by(const DialCandidate& candidate, bool is_last_but_one, Deadline deadline) {
  ssh::Way way{.text = candidate.text(),
               .endpoint = {},
               .head_start = is_last_but_one ? kHeadStartOfExec : kHeadStart};
  if (candidate.by == DialCandidate::By::exec) {
    way.open = [this](Deadline limit) { return run_session(limit); };
  } else if (candidate.by == DialCandidate::By::forward) {
    way.open = [link = engine::SshLink::to(engine_), at = forwarded(candidate)](Deadline limit) {
      return ssh::Stream{link->dial(at, limit), nullptr};
    };
  } else if (const auto address = address_of(candidate.host, deadline)) {
    way.endpoint = {*address, candidate.port};
  } else {
    way.open = [host = candidate.host](Deadline) -> ssh::Stream {
      throw Error(Errc::not_found, fmt::format("{} is not the name of a host here", quote(host)));
    };
  }
  return way;
}

void Sidecar::dial(Deadline deadline, const ssh::Accept& accept) {
  const auto order = in_order();
  std::vector<ssh::Way> ways;
  for (std::size_t i = 0; i < order.size(); ++i)
    ways.push_back(
        way_by(order[i], i + 1 < order.size() && order[i + 1].by == DialCandidate::By::exec, deadline));
  const auto still_there = [&] {
    listen_to_it();
    auto now = look(deadline);
    std::vector<DialCandidate> left;
    {
      const std::lock_guard lock(mutex_);
      if (now.candidates == place_.candidates) {
        place_ = std::move(now);
        return;
      }
      left = std::exchange(place_, std::move(now)).candidates;
    }
    end_forwards(engine_, left, deadline);
    throw Error(Errc::timed_out, "the sidecar has moved to another address");
  };
  try {
    const auto& by = order[ssh::dial_sshd(ways, deadline, still_there, accept)];
    const std::lock_guard lock(mutex_);
    if (dialled_ != by) log::info("sidecar {}: its sshd is reached by {}", id_.substr(0, 12), by.text());
    dialled_ = by;
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
  SidecarPlace place;
  {
    const std::lock_guard lock(mutex_);
    removed_ = true;
    place = place_;
  }
  end_forwards(engine_, place.candidates, deadline);
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
